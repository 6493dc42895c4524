"""The command line, in this process."""

import contextlib
import io
import os
import random
import sys
from pathlib import Path
from unittest import mock

from benchmarks.bad_inputs.experiments import assignment, experiment_text
from benchmarks.bad_inputs.inputs import Input, LastResortError
from benchmarks.bad_inputs.nasty import NASTY
from cifar_core.experiment.recipes import RECIPES


def command_line(draws: random.Random, place: Path) -> Input:
    arguments = _arguments(draws, place)
    return Input(lambda: _called(arguments), "(?m)^Error: ", repr(arguments)[:300])


def _arguments(draws: random.Random, place: Path) -> list[str]:
    nasty = draws.choice([each.replace("\0", "") for each in NASTY])  # no system passes on a zero byte
    recipe = draws.choice(list(RECIPES))
    file = place / "experiment.json"
    match draws.randrange(11):
        case 0:
            return [nasty]
        case 1:
            return [draws.choice(("describe", "run")), nasty or "x"]
        case 2:
            return [draws.choice(("show", "resume")), nasty or "x"]
        case 3:
            return ["export", nasty or "x", "--as", draws.choice(("script", "csv", "archive", nasty))]
        case 4:
            return ["describe", recipe, "--set", assignment(draws).replace("\0", "")]
        case 5:
            option = draws.choice(("--epochs", "--per-class", "--image-side", "--seed"))
            return ["run", recipe, option, draws.choice((nasty, "0", "-3", "1.5", "9" * 30, "9" * 5000, "1e3"))]
        case 6:
            return ["run", recipe, "--data", nasty or "x", *draws.choice(([], ["--image-side", "64"]))]
        case 7:
            file.write_bytes(experiment_text(draws))
            return ["describe", str(file), *draws.choice(([], ["--json"]))]
        case 8:
            path = draws.choice((place, place / "not-there.json", Path("/dev/zero"), Path("/dev/full"), _pipe(place)))
            return [draws.choice(("describe", "run")), str(path)]
        case 9:
            return [draws.choice(("runs", "recipes", "published", "run", "describe")), f"--{nasty.strip('-') or 'x'}"]
        case _:
            return draws.choices(["run", "describe", "--json", "--set", nasty, recipe, "--data", "-"], k=4)


def _pipe(place: Path) -> Path:
    """A named pipe that nobody writes into: whoever opens it without looking waits for ever."""
    path = place / "pipe.json"
    os.mkfifo(path)
    return path


def _called(arguments: list[str]) -> str | None:
    """The last words of the command line, which must have ended with the exit code 2 (or 1, for the store)."""
    import cifar_core.__main__ as command_line

    stderr, code = io.TextIOWrapper(io.BytesIO(), "utf-8", errors="backslashreplace"), 0
    with (
        mock.patch.object(sys, "argv", ["cifar_core", *arguments]),
        mock.patch.object(command_line, "_run_to_its_end"),  # what is usable is not run here
        mock.patch.object(sys, "stdin", io.StringIO()),
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(stderr),
    ):
        try:
            command_line.run_command_line()
        except SystemExit as ended:
            code = int(ended.code or 0)
    stderr.flush()
    said = stderr.buffer.getvalue().decode()
    if code == 0:
        return None
    if code not in (1, 2) or "Traceback" in said:
        raise LastResortError(f"exit code {code}: {said}")
    return said
