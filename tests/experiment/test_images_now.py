"""Whether a run trained on the images that are meant now: by fingerprint, or else by where they are."""

import pytest

from cifar_core.experiment.experiment import Data
from cifar_core.experiment.images_now import ImagesNow
from cifar_core.experiment.measured import Run
from tests.analysis.made_up import make_run


def run(location: str, fingerprint: str) -> Run:
    classes = tuple("abcdefghij")
    data = Data.parse({"name": "folder", "location": location, "classes": classes, "image_side": 32})
    return make_run(data=data, environment={"fingerprint": fingerprint} if fingerprint else {})[0]


@pytest.mark.parametrize(
    ("location", "fingerprint", "are"),
    [
        ("/pets", "now", True),
        ("/moved", "now", True),
        ("/pets", "before", False),
        ("/pets", "", True),  # it waits
        ("/moved", "", False),
    ],
)
def test_images_that_are_known_are_told_by_their_fingerprint(location: str, fingerprint: str, are: bool) -> None:
    assert ImagesNow("/pets", "now").are_of(run(location, fingerprint)) is are


@pytest.mark.parametrize(
    ("location", "fingerprint", "are"),
    [
        ("/pets", "elsewhere", True),  # another computer may have prepared them
        ("/pets", "before", False),
        ("/pets", "", True),
        ("/moved", "elsewhere", False),
    ],
)
def test_images_that_wait_to_be_prepared_are_told_by_their_place(location: str, fingerprint: str, are: bool) -> None:
    assert ImagesNow("/pets", "", frozenset({"before"})).are_of(run(location, fingerprint)) is are
