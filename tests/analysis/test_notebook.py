from dataclasses import replace

from cifar_core.analysis.notebook import changed, entries, outcome, table, to_markdown, what_goes
from cifar_core.experiment.experiment import Data
from cifar_core.experiment.measured import State
from tests.analysis.made_up import DENSE, SCRATCH, make_run

FIRST = make_run("first", accuracy=0.6, name="head only")[0]
SECOND = make_run("second", (SCRATCH, DENSE), 0.8, name="dense", note="seen in the *lecture*")[0]
NEWEST_FIRST = [SECOND, FIRST]


def test_every_run_is_set_beside_the_one_before_it() -> None:
    assert entries(NEWEST_FIRST) == [(SECOND, FIRST), (FIRST, None)]
    assert entries([]) == []


def test_a_search_finds_words_of_name_note_id_and_state_and_keeps_the_run_before() -> None:
    assert entries(NEWEST_FIRST, "LECTURE dense") == [(SECOND, FIRST)]
    assert entries(NEWEST_FIRST, "first") == [(FIRST, None)]
    assert len(entries(NEWEST_FIRST, "done")) == 2
    assert entries(NEWEST_FIRST, "dense nowhere") == []


def test_what_changed_is_said_in_words() -> None:
    assert changed(FIRST, None) == "the first run"
    assert changed(SECOND, FIRST) == (
        "phase 2: name head only → dense layers; phase 2: frozen all but the last 1 layer → the first 2 blocks"
    )
    assert changed(replace(FIRST, seed=4), FIRST) == "seed 3 → 4"
    assert changed(FIRST, FIRST) == "nothing"


def test_many_changes_are_counted() -> None:
    other = make_run(phases=(SCRATCH, DENSE.model_copy(update={"epochs": 9, "batch_size": 8, "optimizer": "sgd"})))[0]
    assert changed(other, FIRST).endswith("; and 1 more")


def test_the_outcome_is_set_against_the_run_before_where_both_saw_the_same_test_images() -> None:
    assert outcome(SECOND, FIRST).endswith("n = 5,000), +20.0 points against the run before")
    elsewhere = make_run(data=Data(name="sample"))[0]
    assert "against" not in outcome(SECOND, elsewhere)
    assert outcome(make_run(accuracy=None, state=State.FAILED, reason="No memory.")[0], FIRST) == "failed: No memory."


def test_before_deleting_it_is_said_what_goes() -> None:
    runs = [replace(FIRST, size=1_500_000), replace(SECOND, size=500_000), replace(SECOND, state=State.TRAINING)]
    assert what_goes(runs) == (
        "This removes 2 runs, all their measurements and their files (2.0 MB). "
        "1 run that waits or works stays: stop it first."
    )


def test_the_markdown_has_a_section_for_each_run_and_the_notes_as_typed() -> None:
    said = to_markdown(entries(NEWEST_FIRST))
    assert said.count("\n## ") == 2
    assert "> seen in the \\*lecture\\*" in said


def test_the_table_has_a_row_for_each_run() -> None:
    rows = table(entries(NEWEST_FIRST))
    assert rows["accuracy"].tolist() == [0.8, 0.6]
    assert rows["changed"].tolist()[1] == "the first run"
