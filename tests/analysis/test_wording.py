from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cifar_core.analysis import wording
from cifar_core.experiment.measured import Progress, State
from tests.analysis.made_up import make_run


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (wording.percent(0.8486), "84.9 %"),
        (wording.percent(1), "100.0 %"),
        (wording.percent(None), "–"),
        (wording.percent(float("nan")), "–"),
        (wording.small_share(645 / 949029), "0.07 %"),
        (wording.small_share(0.00001), "< 0.01 %"),
        (wording.small_share(0.9893), "98.9 %"),
        (wording.points(0.031), "+3.1 points"),
        (wording.points(-0.031), "−3.1 points"),
        (wording.points(-0.0001), "0.0 points"),
        (wording.points(0.031, 0.008, 3), "+3.1 ± 0.8 points (n = 3)"),
        (wording.loss(0.50804), "0.508"),
        (wording.loss(2.6e23), "over a million"),
        (wording.number(949029), "949,029"),
        (wording.duration(3.44), "3.4 s"),
        (wording.duration(0), "0.0 s"),
        (wording.duration(0.01), "< 0.1 s"),
        (wording.duration(59.96), "1:00"),
        (wording.duration(80), "1:20"),
        (wording.duration(3723), "1:02:03"),
        (wording.duration(None), "–"),
        (wording.size(0), "0 bytes"),
        (wording.size(1), "1 byte"),
        (wording.size(11_400_000), "11.4 MB"),
        (wording.size(999_999), "1.0 MB"),
        (wording.ratio(2.94), "2.9×"),
        (wording.ratio(0.344), "0.34×"),
        (wording.interval(0.849, 0.838, 0.859, 5000), "84.9 % (95 %: 83.8–85.9 %, n = 5,000)"),
        (wording.ordinal(2), "2nd"),
        (wording.ordinal(11), "11th"),
        (wording.ordinal(23), "23rd"),
        (wording.listing(["a", "b", "c"]), "a, b and c"),
        (wording.count(1, "run"), "1 run"),
    ],
)
def test_numbers_read_as_the_house_style_has_them(text: str, expected: str) -> None:
    assert text == expected


@pytest.mark.parametrize(
    "show", [wording.percent, wording.points, wording.loss, wording.number, wording.duration, wording.ratio]
)
@given(value=st.floats(-1, 1) | st.floats(-1e9, 1e9) | st.just(float("inf")))
def test_no_number_reads_as_minus_zero_or_as_code(show: Callable[[float], str], value: float) -> None:
    text = show(value)
    assert not text.startswith(("-", "−0.0 ", "−0 ")) and text not in ("−0", "−0.000", "−0.00×")
    assert "nan" not in text and "inf" not in text and "e+" not in text


def test_a_training_run_says_phase_epoch_and_time_left() -> None:
    run, _ = make_run(state=State.TRAINING, progress=Progress(2, 1, 0.4, 80.2))
    assert wording.status(run) == "training, phase 2 of 2 (head only), epoch 1 of 3, about 1:20 left"
    assert wording.status(replace(run, progress=Progress(1, 2, 0.2, None))) == (
        "training, phase 1 of 2 (initial), epoch 2 of 3"
    )


@pytest.mark.parametrize(
    ("fields", "position", "expected"),
    [
        ({"state": State.QUEUED}, 2, "queued, 2nd in line"),
        ({"state": State.QUEUED}, None, "queued"),
        ({"state": State.PREPARING, "step": "reading the images"}, None, "preparing: reading the images"),
        ({"state": State.EVALUATING}, None, "evaluating"),
        ({"state": State.TRAINING, "stop_requested": True}, None, "stop asked for, finishing the batch"),
        ({"state": State.STOPPING}, None, "stop asked for, finishing the batch"),
        ({"state": State.FAILED, "reason": "out of memory\nlog …"}, None, "failed: out of memory"),
        ({"state": State.INTERRUPTED}, None, "interrupted: no reason was recorded"),
        ({"state": State.DONE, "stop_requested": True}, None, "done"),
    ],
)
def test_states_are_told_in_words(fields: dict[str, Any], position: int | None, expected: str) -> None:
    run, _ = make_run(**fields)
    assert wording.status(run, position) == expected


def test_a_finished_run_says_how_long_it_took() -> None:
    start = datetime(2026, 11, 21, 9, tzinfo=UTC)
    run, _ = make_run(started=start, finished=start + timedelta(seconds=80))
    assert wording.status(run) == "done in 1:20"
    stopped = replace(run, state=State.STOPPED, progress=Progress(2, 1, 0.4, None))
    assert wording.status(stopped) == "stopped, phase 2 of 2 (head only), epoch 1 of 3, after 1:20"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"state": State.PREPARING, "step": "downloading ImageNet weights, 3 of about 12 MB"}, 0.25),
        ({"state": State.PREPARING, "step": "downloading ImageNet weights, 13 of about 12 MB"}, 1.0),
        ({"state": State.PREPARING, "step": "preparing the images, 1,500 of 60,000"}, 0.025),
        ({"state": State.PREPARING, "step": "storing features, 10 of 40, about 9 s to go"}, 0.25),
        ({"state": State.PREPARING, "step": "storing features, 0 of 0"}, 0.0),
        ({"state": State.PREPARING, "step": "opening the images"}, 0.0),
        ({"state": State.PREPARING, "step": "storing features, 1 of 2", "progress": Progress(2, 1, 0.4, None)}, 0.4),
        ({"state": State.TRAINING, "progress": Progress(2, 1, 0.4, None)}, 0.4),
        ({"state": State.TRAINING, "step": "1 of 2"}, 0.0),
        ({"state": State.DONE}, 1.0),
        ({"state": State.FAILED}, 0.0),
    ],
)
def test_a_run_has_come_as_far_as_its_epochs_or_what_it_prepares_before_them(
    fields: dict[str, Any], expected: float
) -> None:
    run, _ = make_run(**({"progress": None} | fields))
    assert wording.share(run) == expected
