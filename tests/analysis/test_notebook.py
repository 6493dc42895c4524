from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from cifar_core.analysis.exports import to_csv
from cifar_core.analysis.notebook import changed, changed_in_short, entries, outcome, table, to_markdown, what_goes
from cifar_core.analysis.verdict import Paired, paired
from cifar_core.experiment.experiment import Data
from cifar_core.experiment.measured import Comparison, Run, State
from tests.analysis.made_up import DENSE, SCRATCH, make_run, predicted

FIRST = make_run("first", accuracy=0.6, name="head only")[0]
SECOND = make_run("second", (SCRATCH, DENSE), 0.8, name="dense", note="seen in the *lecture*")[0]
NEWEST_FIRST = [SECOND, FIRST]
KEPT = Comparison("kept", "both", "for *Tuesday*", FIRST.created - timedelta(days=1), ("second", "first"), "first")


def no_predictions(run: Run, before: Run) -> Paired | None:
    """Of runs that kept none."""
    return None


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


def test_many_and_long_changes_are_cut_on_the_page_and_whole_in_files() -> None:
    long = DENSE.model_copy(update={"epochs": 9, "batch_size": 8, "optimizer": "sgd", "name": "long " * 30})
    other = make_run(phases=(SCRATCH, long))[0]
    short = changed_in_short(other, FIRST)
    assert short.endswith("; and 1 more") and "long …;" in short
    whole = changed(other, FIRST)
    assert whole.count(" → ") == 5 and "long " * 30 in whole
    found = entries([other, FIRST])
    assert table(found, no_predictions)["changed"].tolist()[0] == whole
    said = to_markdown(found, no_predictions)
    assert said.count(" → ") == 5 and "and 1 more" not in said and "…" not in said


def test_the_outcome_is_set_against_the_run_before_where_both_saw_the_same_test_images() -> None:
    assert outcome(SECOND, FIRST, no_predictions).endswith(
        "n = 5,000), +20.0 points against the run before (first): their 95 % intervals do not overlap"
    )
    close = replace(SECOND, metrics=FIRST.metrics)
    assert outcome(close, FIRST, no_predictions).endswith(
        "0.0 points against the run before (first): their 95 % intervals overlap, and without the predictions of "
        "both it stays open which is better"
    )
    elsewhere = make_run(data=Data(name="sample"))[0]
    assert "against" not in outcome(SECOND, elsewhere, no_predictions)
    failed = make_run(accuracy=None, state=State.FAILED, reason="No memory.")[0]
    assert outcome(failed, FIRST, no_predictions) == "failed: No memory."


@pytest.mark.parametrize(("low", "verdict"), [(-0.005, "within the noise of"), (0.001, "more than")])
def test_a_difference_is_judged_image_by_image_where_predictions_were_kept(low: float, verdict: str) -> None:
    said = outcome(SECOND, FIRST, lambda run, before: Paired(5000, 0.2, low, 0.4))
    assert "(first): image by image (95 %: " in said and f" to +40.0 points) {verdict} the test images" in said


def test_before_deleting_it_is_said_what_goes() -> None:
    runs = [replace(FIRST, size=1_500_000), replace(SECOND, size=500_000), replace(SECOND, state=State.TRAINING)]
    assert what_goes(runs) == (
        "This removes 2 runs, all their measurements and their files (2.0 MB). "
        "1 run that waits or works stays: stop it first."
    )


def test_the_markdown_has_a_section_for_each_run_and_the_notes_as_typed() -> None:
    said = to_markdown(entries(NEWEST_FIRST), no_predictions)
    assert said.count("\n## ") == 2
    assert "> seen in the \\*lecture\\*" in said
    assert "how far another seed would move it is not measured" in said


def test_the_table_has_a_row_for_each_run_with_its_verdict() -> None:
    first = predicted(200, 5, 0.4, seed=1)
    better = replace(first, probabilities=np.eye(5, dtype=np.float32)[first.labels])
    rows = table(entries(NEWEST_FIRST), lambda run, before: paired(better, first))
    assert rows["accuracy"].tolist() == [0.8, 0.6]
    assert rows["changed"].tolist()[1] == "the first run"
    assert rows["before"].tolist() == ["first", ""]
    assert rows["difference"].tolist()[0] == pytest.approx(0.2) and np.isnan(rows["difference"][1])
    assert 0 < rows["difference low"][0] < rows["difference high"][0]
    assert "more than the test images leave open" in rows["verdict"][0]


def test_an_archived_run_stays_the_run_before() -> None:
    archived = replace(FIRST, archived=True)
    assert entries([SECOND, archived], archived=False) == [(SECOND, archived)]
    assert entries([SECOND, archived]) == [(SECOND, archived), (archived, None)]


def test_kept_comparisons_stand_among_the_runs_by_their_date() -> None:
    assert entries(NEWEST_FIRST, comparisons=[KEPT]) == [*entries(NEWEST_FIRST), KEPT]
    later = replace(KEPT, created=FIRST.created + timedelta(days=1))
    found = entries(NEWEST_FIRST, comparisons=[later])
    assert found[0] == later
    assert entries(NEWEST_FIRST, "tuesday", [later]) == entries([], "comparison both", [later]) == [later]
    said = to_markdown(found, no_predictions)
    assert "comparison kept · of second, first\n\n> for \\*Tuesday\\*" in said
    rows = table(found, no_predictions)
    assert rows["entry"].tolist() == ["comparison", "run", "run"]
    assert (rows["name"][0], rows["note"][0], rows["runs"][0]) == ("both", "for *Tuesday*", "second; first")
    assert ',"done",3,"first",' in to_csv(rows)
