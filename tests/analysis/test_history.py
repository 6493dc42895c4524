import csv
import io

from cifar_core.analysis.exports import to_csv
from cifar_core.analysis.history import epochs, images_seen, points, starts, training_seconds
from tests.analysis.made_up import make_run


def test_epochs_count_on_over_phases_and_start_at_epoch_zero() -> None:
    table = epochs(make_run()[1])
    assert table["epoch"].tolist() == [0, 1, 2, 3, 3, 4, 5, 6]
    assert table["phase_epoch"].tolist() == [0, 1, 2, 3, 0, 1, 2, 3]
    assert table["images"].tolist() == [0, 25000, 50000, 75000, 75000, 100000, 125000, 150000]
    assert table["seconds"].is_monotonic_increasing


def test_the_row_before_a_phase_has_validation_only() -> None:
    before = epochs(make_run()[1]).query("phase_epoch == 0")
    assert before["val_accuracy"].notna().all()
    assert before[["loss", "accuracy", "learning_rate"]].isna().all(axis=None)


def test_points_stand_between_epochs_on_every_axis() -> None:
    table = points(make_run()[1])
    second_phase = table[table["phase"] == 2]
    assert second_phase["epoch"].iloc[0] == 3.25
    assert second_phase["images"].iloc[0] == 75000 + 6250
    assert table["seconds"].is_monotonic_increasing


def test_points_of_an_unfinished_first_epoch_have_no_images_yet() -> None:
    _, (first, second) = make_run(epochs=0)
    assert second.epochs == ()
    assert points((first, second)).empty is False
    assert starts((first, second))[1].epoch == 3
    unfinished = type(first)(0, "initial", first.before, (), first.points)
    assert points((unfinished,))["images"].isna().all()


def test_nothing_measured_gives_empty_tables_with_their_columns() -> None:
    assert list(epochs(())) == list(epochs(()).columns)
    assert len(epochs(())) == len(points(())) == 0
    assert to_csv(epochs(())).startswith('"phase","phase_name","epoch"')


def test_the_csv_reads_back_with_points_in_decimals() -> None:
    _, histories = make_run()
    rows = list(csv.DictReader(io.StringIO(to_csv(epochs(histories)))))
    assert len(rows) == 8
    assert float(rows[1]["val_accuracy"]) == histories[0].epochs[0].val_accuracy
    assert rows[0]["accuracy"] == ""


def test_seconds_and_images_of_a_run_are_sums_over_epochs() -> None:
    _, histories = make_run(seconds=4.0)
    assert training_seconds(histories[0]) == 12.0
    assert images_seen(histories) == 150_000
