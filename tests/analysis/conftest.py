import pytest

from cifar_core.analysis.predictions import Predictions
from tests.analysis.made_up import predicted


@pytest.fixture
def predictions() -> Predictions:
    """Return predictions on 400 images of five classes, right three times out of four."""
    return predicted(400, 5, 0.75, seed=1)
