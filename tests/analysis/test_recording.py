"""Replays: nothing shows before it was measured, in the end everything does, and the speed is said."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from cifar_core.analysis.race import Racers
from cifar_core.analysis.recording import (
    Playback,
    length,
    map_length,
    map_so_far,
    race_so_far,
    recorded,
    so_far,
    speed,
    speed_in_words,
    told,
)
from cifar_core.experiment.measured import Measured, State
from cifar_core.experiment.transfer_map import TransferMap
from tests.analysis.made_up import DENSE, HEAD_ONLY, SCRATCH, make_run

RUN, HISTORIES = make_run(phases=(SCRATCH, HEAD_ONLY))  # three epochs of 4 s, then three of 4/3 s


def test_nothing_shows_before_it_was_measured() -> None:
    found = so_far(HISTORIES, 8.5)
    (first,) = found
    assert [epoch.at for epoch in first.epochs] == [4, 8]
    assert max(point.at for point in first.points) == 8
    assert first.before is not None and not first.changes  # how far layers moved was known only at the end


def test_a_phase_begins_with_its_validation_before_any_step() -> None:
    _, second = so_far(HISTORIES, 12.0)
    assert second.before is not None and not second.epochs
    assert so_far(HISTORIES, -1.0) == ()


def test_at_its_end_a_replay_is_the_recording() -> None:
    assert so_far(HISTORIES, HISTORIES[-1].epochs[-1].at) == HISTORIES


def test_a_race_is_shown_on_the_clock_of_the_target_classes() -> None:
    scratch: Measured = make_run("b", (DENSE.model_copy(update={"freeze": SCRATCH.freeze}),), seconds=6.0)
    racers: Racers = {"head": [(RUN, HISTORIES)], "scratch": [scratch]}
    assert length(racers) == 18  # three epochs of 6 s from scratch; the other needs 4 s after its first phase
    (_, head), (_, other) = (runs[0] for runs in race_so_far(racers, 6.5).values())
    assert len(head[1].epochs) == 3
    assert len(other[0].epochs) == 1
    assert length({"nothing": []}) == 0


@pytest.mark.parametrize(
    ("times", "said"),
    [
        (20.0, "shown 20 times as fast"),
        (2.5, "shown 2.5 times as fast"),
        (1.02, "shown as fast as it was"),
        (0.2, "shown 5 times as slow"),
    ],
)
def test_the_speed_is_said(times: float, said: str) -> None:
    assert speed_in_words(times) == said


def test_a_speed_is_a_factor_or_takes_half_a_minute() -> None:
    assert speed("20", 100) == 20
    assert speed("30s", 90) == 3


def test_a_recording_names_its_days_and_its_speed() -> None:
    runs = {day: replace(RUN, finished=datetime(2026, 11, day, 9, tzinfo=UTC)) for day in (3, 21)}
    waiting = replace(RUN, state=State.QUEUED)
    assert told({"a": {0: runs[3], 1: waiting}}, 20.0) == "Recorded on 3 November 2026, shown 20 times as fast"
    assert told({"a": runs}, 1.0) == "Recorded between 3 November 2026 and 21 November 2026, shown as fast as it was"
    assert told({"a": {1: waiting}}, 1.0) == recorded({"a": {1: waiting}}) == "Not recorded yet"
    assert recorded({"a": {0: runs[3]}}) == "Recorded on 3 November 2026"


MAP = TransferMap.of(RUN.experiment)
MAPPED = {point.title: {0: replace(RUN, seconds={"queue": 90.0, "steps": 3.0})} for point in MAP.experiments}


def test_a_map_takes_what_its_runs_took_without_waiting() -> None:
    assert map_length(MAPPED) == 18 * 3
    assert map_length({"baseB": {0: replace(RUN, seconds={})}}) == 0


@pytest.mark.parametrize(("seconds", "points"), [(5.9, 0), (6.0, 2), (17.9, 2), (18.0, 6), (54.0, 18)])
def test_a_map_fills_in_depth_by_depth_the_bases_first(seconds: float, points: int) -> None:
    assert list(map_so_far(MAP, MAPPED, seconds)) == list(MAPPED)[:points]


def test_at_its_end_a_replay_of_a_map_is_the_map() -> None:
    uneven = {title: {0: replace(RUN, seconds={"steps": 0.1 * place})} for place, title in enumerate(MAPPED)}
    assert map_so_far(MAP, uneven, map_length(uneven)) == uneven


def test_a_playback_moves_pauses_and_begins_anew_at_its_end() -> None:
    playing = Playback().play(now=100.0, length=60.0, speed=20.0)
    assert playing.at(101.5) == 30 and playing.plays(101.5, 60.0)
    paused = playing.pause(101.5)
    assert paused.at(500.0) == 30 and not paused.plays(500.0, 60.0)
    assert paused.play(500.0, 60.0, 1.0).at(502.0) == 32
    assert not playing.plays(104.0, 60.0)
    assert playing.play(104.0, 60.0, 20.0).at(104.0) == 0
