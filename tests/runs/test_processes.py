"""Worker processes: started apart, ended entirely, and their ends told in words."""

import os
import signal
import sys
from pathlib import Path

import psutil
import pytest

from cifar_core.runs.processes import Worker, describe_exit
from tests.runs.helpers import is_alive, wait_for

WITH_CHILD = """
import subprocess, sys, time, pathlib
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session={apart})
pathlib.Path("{file}").write_text(str(child.pid) + "\\n")
time.sleep(600)
"""


def python(code: str, folder: Path) -> Worker:
    return Worker(folder / "log.txt", [sys.executable, "-c", code])


def test_a_worker_reads_its_job_from_standard_input_and_writes_to_its_log(tmp_path: Path) -> None:
    worker = python("import sys; print('got', sys.stdin.readline()); sys.exit('and failed')", tmp_path)
    worker.give({"run": "abc"})
    assert worker.wait(10)
    assert worker.exit_code() == 1
    assert worker.log_end().split("\n") == ['got {"run": "abc"}', "", "and failed"]
    worker.end(0)


def test_a_worker_sees_the_end_of_its_input_when_its_supervisor_goes(tmp_path: Path) -> None:
    worker = python("import sys; sys.stdin.read(); print('alone')", tmp_path)
    assert not worker.wait(0)
    worker.close_input()
    assert worker.wait(10)
    assert worker.log_end() == "alone"
    worker.end(0)


def test_another_worker_does_not_keep_the_input_of_the_first_open(tmp_path: Path) -> None:
    first = python("import sys; sys.stdin.read()", tmp_path / "1")
    second = python("import sys; sys.stdin.read()", tmp_path / "2")
    first.close_input()
    assert first.wait(10)
    first.end(0)
    second.end(0)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has priority classes instead")
def test_a_worker_is_nice_and_out_of_reach_of_the_terminal(tmp_path: Path) -> None:
    worker = python("import sys; sys.stdin.read()", tmp_path)
    assert psutil.Process(worker.pid).nice() >= 10
    group = Path(f"/proc/{worker.pid}/autogroup")
    assert not group.exists() or group.read_text().split()[-1] == "10"
    assert os.getsid(worker.pid) == worker.pid
    worker.end(0)


@pytest.mark.parametrize("apart", [False, True], ids=["in its group", "in a group of its own"])
def test_ending_a_worker_ends_what_it_started(tmp_path: Path, apart: bool) -> None:
    worker = python(WITH_CHILD.format(apart=apart, file=tmp_path / "child.txt"), tmp_path)
    child = int(wait_for(lambda: _line(tmp_path / "child.txt"), "the child"))
    worker.end(grace=2)
    assert not is_alive(worker.pid)
    wait_for(lambda: not is_alive(child), "the end of the child")


def test_a_worker_that_ignores_being_asked_is_killed(tmp_path: Path) -> None:
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf'); time.sleep(600)"
    worker = python(code, tmp_path)
    wait_for(worker.log_end, "the worker")
    worker.end(grace=0.1)
    assert worker.exit_code() == -signal.SIGKILL


def test_ending_a_worker_that_has_ended_is_harmless(tmp_path: Path) -> None:
    worker = python("pass", tmp_path)
    assert worker.wait(10)
    worker.give({"too": "late"})
    worker.end(1)
    worker.end(1)
    assert worker.exit_code() == 0


def test_a_log_can_move_while_the_worker_writes_to_it(tmp_path: Path) -> None:
    worker = python("import sys; print('before'); sys.stdin.readline(); print('after')", tmp_path)
    wait_for(worker.log_end, "the first line")
    (tmp_path / "run").mkdir()
    worker.move_log(tmp_path / "run" / "log.txt")
    worker.give({})
    assert worker.wait(10)
    worker.end(0)
    assert (tmp_path / "run" / "log.txt").read_text().split() == ["before", "after"]
    assert not (tmp_path / "log.txt").exists()


def test_the_end_of_a_long_log_is_short(tmp_path: Path) -> None:
    worker = python("for n in range(100_000): print('line', n)", tmp_path)
    assert worker.wait(20)
    lines = worker.log_end(lines=3).split("\n")
    assert lines == ["line 99997", "line 99998", "line 99999"]
    (tmp_path / "log.txt").write_bytes(b"\xff" * 1_000_000)
    assert len(worker.log_end()) <= 20_000
    (tmp_path / "log.txt").unlink()
    assert "cannot be read" in worker.log_end()
    worker.end(0)


def test_a_command_that_does_not_exist_is_an_error_at_once(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="nowhere"):
        Worker(tmp_path / "log.txt", ["/nowhere/python"])


def test_the_worker_finds_the_package_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    worker = python("import cifar_core.home", tmp_path)
    assert worker.wait(20)
    assert worker.exit_code() == 0, worker.log_end()
    worker.end(0)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (-9, "killed (signal 9): often the system ran out of memory"),
        (137, "killed (signal 9): often the system ran out of memory"),
        (-15, "ended from outside (signal 15)"),
        (-11, "crashed (SIGSEGV, signal 11)"),
        (-62, "ended by signal 62"),
        (0, "ended without saying how the run went (exit code 0)"),
        (3, "stopped with an error (exit code 3)"),
    ],
)
def test_every_end_has_words(code: int, words: str) -> None:
    assert describe_exit(code) == words


def test_a_crash_in_native_code_leaves_a_traceback_in_the_log(tmp_path: Path) -> None:
    worker = python("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", tmp_path)
    assert worker.wait(20)
    assert worker.exit_code() == -signal.SIGSEGV
    assert "Segmentation fault" in worker.log_end()
    worker.end(0)


def _line(file: Path) -> str:
    text = file.read_text() if file.exists() else ""
    return text if text.endswith("\n") else ""
