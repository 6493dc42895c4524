"""What a run may use, as the environment says it, and the sentences of those who use more."""

from pathlib import Path

import pytest

from cifar_core.limits import (
    DISK,
    LIMITS,
    MEMORY,
    MINUTES,
    RESUMES,
    RUNS_AT_ONCE,
    RUNS_PER_PERSON,
    THREADS,
    WHOLE,
    LimitError,
    Limits,
    limits,
    setting,
    settings_for_threads,
    threads,
)


def test_without_variables_there_is_no_limit(tmp_path: Path) -> None:
    assert limits({}) == Limits() == limits(dict.fromkeys(LIMITS, " "))
    assert limits({}).exceeded(tmp_path, seconds=1e9) == ""
    assert not limits({}).far_exceeded()


def test_limits_are_read_in_the_units_of_their_names() -> None:
    read = limits({MEMORY: "4", MINUTES: "1.5", DISK: "0.5", THREADS: "2"})
    assert (read.memory, read.seconds, read.disk) == (4e9, 90, 5e8)
    assert threads({THREADS: "2"}) == 2


@pytest.mark.parametrize("name", LIMITS)
@pytest.mark.parametrize("text", ["four", "0", "-1", "nan", "inf", "1e999", "4 GB"])
def test_a_limit_that_cannot_be_meant_names_its_variable(name: str, text: str) -> None:
    with pytest.raises(LimitError, match=f'{name}: expected a number above 0, received "{text}"'):
        limits({name: text})


def test_there_is_no_half_thread() -> None:
    with pytest.raises(LimitError, match=f"{THREADS}: expected a whole number"):
        limits({THREADS: "1.5"})


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (MEMORY, "more than the 0.001 GB of memory that a run may use here"),
        (MINUTES, "longer than the 0.001 minutes"),
        (DISK, "more than the 0.001 GB that a run may fill here"),
    ],
)
def test_who_uses_more_is_told_which_limit_it_was(name: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "model.keras").write_bytes(bytes(2_000_000))
    over = limits({name: "0.001"}).exceeded(tmp_path, seconds=1.0)
    assert said in over and name in over and "measured until then is kept" in over


def test_memory_far_over_its_limit_is_known(tmp_path: Path) -> None:
    assert limits({MEMORY: "0.001"}).far_exceeded()
    assert not limits({MEMORY: "1000"}).far_exceeded()


def test_threads_are_set_for_the_libraries_that_compute(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(THREADS, raising=False)
    assert settings_for_threads() == {}
    monkeypatch.setenv(THREADS, "1")
    assert {"TF_NUM_INTRAOP_THREADS": "1", "OMP_NUM_THREADS": "1"}.items() <= settings_for_threads().items()
    monkeypatch.setenv(THREADS, "many")
    assert settings_for_threads() == {}


@pytest.mark.parametrize(
    ("variable", "received", "meant"),
    [
        (RUNS_AT_ONCE, None, None),
        (RUNS_AT_ONCE, " ", None),
        (RUNS_AT_ONCE, "3", 3),
        (RESUMES, "0", 0),
        (RUNS_PER_PERSON, "5 ", 5),
    ],
)
def test_a_server_reads_whole_numbers(
    variable: str, received: str | None, meant: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(variable, raising=False)
    if received is not None:
        monkeypatch.setenv(variable, received)
    assert setting(variable) == meant


@pytest.mark.parametrize(("variable", "least"), WHOLE.items())
@pytest.mark.parametrize("received", ["five", "-2", "2.5"])
def test_what_cannot_be_meant_is_logged_once_and_counts_as_the_least(
    variable: str, least: int, received: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(variable, received)
    assert [setting(variable), setting(variable)] == [least, least]
    assert caplog.text.count(variable) == 1


@pytest.mark.parametrize("variable", [RUNS_AT_ONCE, RUNS_PER_PERSON])
def test_no_runs_at_all_cannot_be_meant(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, "0")
    assert setting(variable) == 1
