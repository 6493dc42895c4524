import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from cifar_core.experiment.experiment import Experiment
from cifar_core.experiment.recipes import RECIPES
from cifar_core.experiment.settings import apply, changed
from cifar_core.runs import room
from tests.runs.helpers import EXPERIMENT

A = RECIPES["a-ft2"].experiment  # three phases; validated on the test images
TEST_IMAGES = 5 * 1000


def free(monkeypatch: pytest.MonkeyPatch, count: float) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=count))


def test_a_run_keeps_the_network_of_every_phase_and_its_predictions() -> None:
    outputs = A.networks[-1].outputs
    assert room.bytes_kept(A) == 3 * 4 * 949_029 + TEST_IMAGES * (4 * outputs + 16)


def test_predictions_for_a_share_of_the_training_images_are_kept_beside_those_for_the_test_images() -> None:
    shared = apply(A, ["validation.on=train share", "validation.share=0.2"])
    more = room.bytes_kept(shared) - room.bytes_kept(A)
    assert more == pytest.approx(0.2 * 5 * 5000 * (4 * A.networks[-1].outputs + 16))


def test_fewer_images_leave_fewer_predictions() -> None:
    assert room.bytes_kept(A) - room.bytes_kept(apply(A, ["data.per_class=10"])) == (TEST_IMAGES - 50) * (
        4 * A.networks[-1].outputs + 16
    )


def test_while_training_a_checkpoint_stands_beside_the_next_one_with_what_the_optimizer_remembers() -> None:
    assert room.bytes_while_training(A) == 2 * 4 * 3 * A.networks[0].trainable
    head_only = changed(A, phases=A.phases[1:2])
    assert room.bytes_while_training(head_only) < 0.01 * room.bytes_while_training(A)


def test_early_stopping_remembers_the_best_network_as_well() -> None:
    stopping = apply(A, ['phases.0.early_stopping={"patience": 1}'])
    assert room.bytes_while_training(stopping) - room.bytes_while_training(A) == 2 * 4 * A.networks[0].total


@pytest.mark.parametrize("experiments", [[], [EXPERIMENT], [EXPERIMENT, A]])
def test_there_is_room_for_what_all_keep_and_for_the_largest_of_what_one_takes_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, experiments: list[Experiment]
) -> None:
    needed = room.SPARE_BYTES + sum(map(room.bytes_kept, experiments))
    needed += max(map(room.bytes_while_training, experiments), default=0)
    free(monkeypatch, needed + 1)
    assert room.has_room(tmp_path / "to be made", experiments)
    free(monkeypatch, needed)
    assert not room.has_room(tmp_path, experiments)
