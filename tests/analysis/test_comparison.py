from dataclasses import replace
from io import BytesIO, StringIO

import numpy as np
import pandas as pd
import pytest

from cifar_core.analysis.comparison import (
    cell_in_words,
    cells,
    every_epoch,
    every_run,
    ledger,
    one_machine,
    other_machines,
    other_paths,
    settings,
    settings_that_differ,
    shown,
    table,
)
from cifar_core.analysis.exports import to_csv, to_parquet
from cifar_core.analysis.metrics import confusion, shares
from cifar_core.experiment.experiment import ClassSplit, Data, Experiment, Head, Phase
from cifar_core.experiment.measured import Measured, State
from cifar_core.experiment.settings import changed
from tests.analysis.made_up import DENSE, HEAD_ONLY, SCRATCH, make_run, predicted


def test_only_settings_that_differ_are_shown_and_in_words() -> None:
    one, _ = make_run("a")
    other, _ = make_run("b", (SCRATCH, DENSE.model_copy(update={"learning_rate": 1e-4})))
    found = settings_that_differ([one, other])
    assert list(found.columns) == ["head only", "dense layers"]
    assert list(found.loc["phase 2: frozen"]) == ["all but the last 1 layer", "the first 2 blocks"]
    assert list(found.loc["phase 2: learning rate"]) == ["0.001", "0.0001"]
    assert not [name for name in found.index if name.startswith("phase 1")]


def test_how_features_are_kept_is_a_setting_that_can_differ() -> None:
    one, _ = make_run("a")
    half = replace(one, id="b", experiment=changed(one.experiment, features="half"))
    assert list(settings_that_differ([one, half]).loc["stored features"]) == ["full", "half"]


def test_equal_runs_differ_in_nothing() -> None:
    assert settings_that_differ([make_run("a")[0], make_run("b")[0]]).empty


def on_path(id: str, features: str, seconds: float, phases: tuple[Phase, ...] = (SCRATCH, HEAD_ONLY)) -> Measured:
    """A run whose last phase says how it was trained."""
    run, (*before, last) = make_run(id, phases)
    return run, (*before, replace(last, features=features, features_seconds=seconds))


def test_runs_of_one_experiment_that_went_different_paths_are_said_not_to_be_equal_bit_for_bit() -> None:
    stored, ordinary = on_path("a", "Stored features after conv_2.", 2.0), on_path("b", "No stored features: off.", 0.0)
    said = other_paths([stored, ordinary])
    assert said is not None and "“head only”" in said and "need not be equal bit for bit" in said
    other, untold = on_path("c", "No stored features: off.", 0.0, (SCRATCH, DENSE)), on_path("d", "", 0.0)
    for alike in ([stored, stored], [ordinary, ordinary], [stored, other], [stored, untold], [stored], []):
        assert other_paths(alike) is None


def test_a_run_on_features_that_another_had_stored_is_flagged() -> None:
    run, (first, last) = make_run("a")
    given = run, (replace(first, features_of_others=True), last)
    assert "features stored by another run" in shown(table([given, make_run("b")], "b"))["note"]["a"]
    assert not table([make_run("a"), make_run("b")], "b")["flags"]["a"]


def test_a_phase_that_a_run_lacks_is_a_dash() -> None:
    found = settings_that_differ([make_run("a")[0], make_run("b", (SCRATCH, HEAD_ONLY, DENSE))[0]])
    assert list(found.loc["phase 3: name"]) == ["–", "dense layers"]


def test_settings_name_classes_and_heads() -> None:
    run, _ = make_run()
    experiment = Experiment(
        data=Data(name="cifar10"),
        split=ClassSplit(source=(0, 1), target=(8, 9)),
        phases=(SCRATCH, HEAD_ONLY.model_copy(update={"head": Head(outputs="data set")})),
    )
    found = settings(replace(run, experiment=experiment))
    assert found["source classes"] == "airplane, automobile"
    assert found["phase 2: head"] == "new from output on: one output per class of the data set"


def test_the_table_sets_every_run_against_the_baseline() -> None:
    runs = [make_run("a", accuracy=0.6), make_run("b", (SCRATCH, DENSE), accuracy=0.7, seconds=8.0)]
    found = table(runs, "a")
    assert found.index.tolist() == ["a", "b"]
    assert found["difference"].tolist() == pytest.approx([0, 0.1])
    assert found["speed_ratio"].tolist() == pytest.approx([1, 0.5])
    assert found["trainable"].tolist() == [645, 938_885]
    assert found["total"].tolist() == [949_029, 949_029]
    assert found["images"].tolist() == [150_000, 150_000]
    assert found["seconds"].tolist() == pytest.approx([19.1, 19.1])
    assert found["last_seconds"].tolist() == pytest.approx([4, 8])


def test_seconds_of_other_hardware_are_not_compared() -> None:
    runs = [make_run("a"), make_run("b", environment={"hardware": "another", "fingerprint": "f00d"})]
    found = table(runs, "a")
    assert found["speed_ratio"].isna().tolist() == [False, True]
    assert found["flags"]["b"] == ["other hardware than the baseline: the seconds are not comparable"]


def test_accuracies_on_other_test_images_are_not_compared() -> None:
    found = table([make_run("a"), make_run("b", (SCRATCH,), accuracy=0.9)], "a")
    assert found["difference"].isna().tolist() == [False, True]
    assert found["flags"]["b"] == ["other test images than the baseline: the accuracies are not comparable"]


def test_what_is_not_measured_yet_is_neither_zero_nor_compared() -> None:
    runs = [make_run("a"), make_run("b", accuracy=None, epochs=1, state=State.TRAINING, seconds=4.0)]
    found = table(runs, "a")
    assert found.loc["b", ["accuracy", "difference", "last_seconds", "speed_ratio"]].isna().all()
    assert shown(found).loc["b", "test accuracy"] == "not measured (training)"


def test_the_shown_table_has_units_and_no_nan() -> None:
    text = shown(table([make_run("a"), make_run("b", (SCRATCH, DENSE), 0.7)], "a"))
    assert text.loc["b", "against the baseline"] == "+10.0 points"
    assert text.loc["a", "trainable parameters"] == "645 of 949,029"
    assert str(text.loc["a", "test accuracy"]).startswith("60.0 % (95 %: 58.6–61.4 %")
    assert "nan" not in text.to_string().lower()


def test_no_runs_give_empty_tables() -> None:
    assert table([]).empty
    assert shown(table([])).empty
    assert settings_that_differ([]).empty


def test_seconds_of_different_machines_are_warned_about_and_of_one_are_not() -> None:
    one, queued = make_run("a")[0], make_run("q", environment={})[0]
    other = make_run("b", environment={"hardware": "a GPU"})[0]
    assert other_machines([one, one, queued]) is None
    assert one_machine([one, one, queued]) == "Computed on 2 cores."
    assert one_machine([one, other]) is None and one_machine([queued]) is None
    said = other_machines([one, other, queued])
    assert said is not None and "(2 cores; a GPU)" in said


def test_cells_of_several_matrices_stand_side_by_side() -> None:
    few, more = confusion(predicted(300, 3, 0.7, seed=1)), confusion(predicted(300, 4, 0.7, seed=2))
    found = cells({"few": few, "more": more}).set_index(["true", "predicted"])
    assert len(found) == 16
    assert found.loc[[("class 0", "class 1")]].to_numpy().tolist() == [[few.iloc[0, 1], more.iloc[0, 1]]]
    assert found["few"].isna().sum() == 7  # what only the other knows
    assert cells({"few": few}, "row %").groupby("true")["few"].sum().tolist() == pytest.approx([100, 100, 100])


@pytest.mark.parametrize("values", ["counts", "column %"])
def test_of_many_classes_the_cells_that_no_run_has_are_left_out(values: str) -> None:
    few, more = confusion(predicted(300, 3, 0.7, seed=1)), confusion(predicted(3000, 150, 0.7, seed=2))
    found = cells({"few": few, "more": more}, values).set_index(["true", "predicted"])
    assert len(found) == np.count_nonzero(more) + 9 - np.count_nonzero(more.iloc[:3, :3]) < 3000
    every = pd.DataFrame({"few": of(few, values).stack(), "more": of(more, values).stack()})
    pd.testing.assert_frame_equal(found.sort_index(), every.loc[found.index].sort_index(), check_dtype=False)


def of(counts: pd.DataFrame, values: str) -> pd.DataFrame:
    return counts if values == "counts" else 100 * shares(counts, values)


def test_a_cell_is_said_with_what_each_run_has_in_it() -> None:
    said = cell_in_words({"A": 12, "B": 0}, "cat", "dog")
    assert said == "Images of cat, predicted as dog by at least one run (A 12, B 0); the most disputed first."
    assert cell_in_words({"A": 0, "B": 0}, "cat", "dog") == "No run takes an image of cat for dog."


def test_ledgers_stand_side_by_side_in_the_order_of_a_run() -> None:
    found = ledger({"a": {"queue": 1.0, "steps": 2.0}, "b": {"steps": 90.0, "data": 1.0}}).set_index("part of the run")
    assert found.columns.tolist() == ["a", "b"]
    assert found["a"].tolist() == ["1.0 s", "–", "2.0 s", "3.0 s"]
    assert found["b"].tolist() == ["–", "1.0 s", "1:30", "1:31"]
    assert found.index[-1] == "altogether"


def test_a_comparison_leaves_as_tables_that_other_programs_read() -> None:
    other = {"hardware": "another", "fingerprint": "f00d"}
    runs = [make_run("a"), make_run("b", (SCRATCH, DENSE), 0.7, environment=other, state=State.FAILED)]
    rows, every = every_run(runs, "a"), every_epoch(runs)
    assert rows["id"].tolist() == ["a", "b"] and "; other hardware than" in rows["flags"][1]
    assert every.groupby("id").size().tolist() == [8, 8]  # three epochs of two phases, and before each of these
    assert every["run"].unique().tolist() == ["head only", "dense layers"]
    for frame in (rows, every):
        assert pd.read_csv(StringIO(to_csv(frame)))["id"].tolist() == frame["id"].tolist()
        assert pd.read_parquet(BytesIO(to_parquet(frame))).columns.tolist() == frame.columns.tolist()
    assert every_run([]).empty and every_epoch([]).empty


def test_settings_of_several_parts_are_said_in_words() -> None:
    one, _ = make_run("a")
    fields = {"schedule": {"kind": "cosine", "warm_up": 1}, "augmentation": [{"kind": "flip"}]}
    said = settings(
        replace(one, experiment=changed(one.experiment, phases=[SCRATCH, DENSE.parse(DENSE.model_dump() | fields)]))
    )
    assert said["phase 1: schedule"] == "constant"
    assert said["phase 1: augmentation"] == "none"
    assert said["phase 2: schedule"].startswith("cosine, warm up 1")
    assert said["phase 2: augmentation"] == "flip"
