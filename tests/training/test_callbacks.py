from itertools import count, pairwise
from pathlib import Path
from types import SimpleNamespace

import pytest

from cifar_core.experiment.layers import Dense, Flatten
from cifar_core.training import callbacks, trainer
from cifar_core.training.callbacks import SECONDS_BETWEEN_POINTS, StopRequested, TrainingDivergedError
from cifar_core.training.ledger import Ledger
from cifar_core.training.trainer import probabilities, train
from tests.training.makers import Notes, done, experiment, images, phase, run, small, tuning

UNSTABLE = (Flatten(), *(Dense(units=32, activation="linear") for _ in range(12)))


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock by which 0.125 s pass between any two looks at it, and every step by itself."""
    monkeypatch.setattr(trainer, "steps_per_execution", lambda *_, **__: 1)
    looks = count()
    clock = SimpleNamespace(perf_counter=lambda: next(looks) / 8)
    monkeypatch.setattr(callbacks, "time", clock)
    monkeypatch.setattr(trainer, "time", clock)


@pytest.fixture
def every_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    """A point for every batch."""
    monkeypatch.setattr(callbacks, "SECONDS_BETWEEN_POINTS", 0)


def test_a_stop_ends_within_the_batch_and_keeps_what_was_measured() -> None:
    notes = Notes(stop=lambda notes: notes.asked == 7)
    trained, _ = run(experiment(phase(batch_size=9, epochs=50)), notes=notes)
    assert trained.stopped
    assert notes.asked == 7  # the validation before, three batches, the validation, and two batches of the second epoch
    assert len(notes.epochs[0]) == 1
    assert all(layer.change > 0 for layer in notes.moved[0].values())  # the proof of freezing is kept too


def test_a_stop_is_heard_during_validation() -> None:
    notes = Notes(stop=lambda notes: notes.asked == 5)
    trained, _ = run(experiment(phase(batch_size=9)), notes=notes)
    assert trained.stopped
    assert notes.epochs == {}


def test_a_stop_is_heard_during_the_validation_before_a_phase() -> None:
    notes = Notes(stop=lambda notes: True)
    trained, _ = run(experiment(), notes=notes)
    assert trained.stopped
    assert (notes.asked, notes.befores, notes.epochs) == (1, {}, {})


def test_a_stop_is_heard_while_predicting() -> None:
    trained, _ = done()
    with pytest.raises(StopRequested):
        probabilities(trained, trained.feed.test, Notes(stop=lambda notes: True))


def test_a_stop_in_the_first_phase_begins_no_second() -> None:
    notes = Notes(stop=lambda notes: True)
    run(experiment(), notes=notes)
    assert {index for _, index in notes.events} == {0}


def test_a_stopped_run_leaves_the_model_as_the_last_batch_left_it() -> None:
    stopped, _ = run(experiment(phase(batch_size=9)), notes=Notes(stop=lambda notes: notes.asked == 3))
    assert int(stopped.model.optimizer.iterations) == 2


def test_a_loss_that_is_no_number_ends_the_run_in_a_sentence() -> None:
    with pytest.raises(TrainingDivergedError) as diverged:
        run(experiment(phase(layers=UNSTABLE, learning_rate=100, batch_size=3)))
    assert str(diverged.value).startswith("The loss is no longer a finite number (epoch 1 of base, after ")
    assert str(diverged.value).endswith("The learning rate 100 is probably too high: try a tenth of it.")


def test_a_validation_loss_that_is_no_number_ends_the_run_after_it_was_noted() -> None:
    notes = Notes()
    with pytest.raises(TrainingDivergedError):
        run(small(layers=UNSTABLE, learning_rate=100, epochs=1), notes=notes)
    assert len(notes.epochs[0]) == 1


@pytest.mark.usefixtures("every_batch")
def test_the_points_of_an_epoch_average_to_its_loss() -> None:
    _, notes = run(experiment(phase(batch_size=10)))
    sizes = [10, 10, 7]
    for epoch, points in enumerate((notes.curves[0][:3], notes.curves[0][3:])):
        measured = notes.epochs[0][epoch]
        for name in ("loss", "accuracy"):
            sums = sum(size * getattr(point, name) for size, point in zip(sizes, points, strict=True))
            assert sums / 27 == pytest.approx(getattr(measured, name), rel=1e-5)
        assert [point.epoch for point in points] == pytest.approx([epoch + seen / 27 for seen in (10, 20, 27)])


@pytest.mark.usefixtures("slow")
def test_points_come_at_most_twice_a_second() -> None:
    _, notes = run(experiment(phase(batch_size=1)))
    gaps = [later.at - earlier.at for earlier, later in pairwise(notes.curves[0])]
    assert len(gaps) > 5
    assert min(gaps) >= SECONDS_BETWEEN_POINTS
    assert len(notes.curves[0]) < 54


def test_the_first_batch_is_a_point_at_once() -> None:
    _, notes = done()
    assert [notes.curves[index][0].epoch for index in range(2)] == pytest.approx([16 / 27, 16 / 27])


@pytest.mark.usefixtures("slow")
def test_progress_grows_to_the_end_of_all_phases() -> None:
    _, notes = run(experiment(phase(batch_size=1, epochs=1), tuning(batch_size=1, epochs=3)))
    fractions = [progress.fraction for progress in notes.progresses]
    assert fractions == sorted(fractions)
    assert fractions[0] > 0
    assert fractions[-1] == 1
    ends = {(progress.phase, progress.epoch): progress.fraction for progress in notes.progresses}
    assert ends == {(1, 1): 0.25, (2, 1): 0.5, (2, 2): 0.75, (2, 3): 1}


@pytest.mark.usefixtures("slow")
def test_the_time_that_remains_shrinks_to_nothing() -> None:
    _, notes = run(experiment(phase(batch_size=1, epochs=4)))
    etas = [progress.eta_seconds for progress in notes.progresses]
    assert etas[0] is None  # nothing was measured yet
    assert etas[-1] == 0


@pytest.mark.usefixtures("slow")
def test_a_run_that_goes_on_takes_as_long_for_the_rest_as_an_undisturbed_one(tmp_path: Path) -> None:
    described = experiment(phase(batch_size=1, epochs=6))
    _, undisturbed = run(described)
    far_enough = Notes(lambda notes: len(notes.epochs.get(0, [])) == 4)
    for notes in (far_enough, again := Notes()):
        train(described, images(), 0, notes, Ledger(), folder=tmp_path)
    first = next(progress for progress in again.progresses if progress.eta_seconds)
    meanwhile = min(undisturbed.progresses, key=lambda progress: abs(progress.fraction - first.fraction))
    assert first.epoch == 5
    assert first.eta_seconds == pytest.approx(meanwhile.eta_seconds, rel=0.3)


def test_epochs_count_from_one_and_time_goes_on_over_phases() -> None:
    _, notes = done()
    assert [row.epoch for index in range(2) for row in notes.epochs[index]] == [1, 2, 1, 2]
    moments = [at for index in range(2) for at in (notes.befores[index].at, *(row.at for row in notes.epochs[index]))]
    assert moments == sorted(moments)


def test_an_epoch_names_its_rate_images_and_speed() -> None:
    _, notes = done()
    epoch = notes.epochs[1][0]
    assert epoch.learning_rate == pytest.approx(0.01)
    assert epoch.images == 27
    assert epoch.images_per_second >= epoch.images / epoch.seconds
