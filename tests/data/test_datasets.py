from pathlib import Path

import pytest

from cifar_core.experiment.datasets import DATASETS, DataSet
from cifar_core.home import home


@pytest.mark.parametrize("row", DATASETS.values(), ids=DATASETS.keys())
def test_every_row_is_complete_or_leaves_everything_to_the_experiment(row: DataSet) -> None:
    assert row.name in DATASETS
    assert row.title
    assert row.description
    assert len(set(row.classes)) == len(row.classes)
    counts = len(row.classes), row.train_per_class, row.test_per_class
    assert min(counts) >= 1 or max(counts) == 0


def test_home_is_where_the_user_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TRANSFER_LAB_HOME", str(tmp_path / "lab"))
    assert home() == tmp_path / "lab"
    assert not home().exists()


def test_home_is_the_users_own_folder_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRANSFER_LAB_HOME", raising=False)
    assert home().name == "transfer-lab"
    assert home().is_absolute()
