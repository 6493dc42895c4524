"""Give Transfer Lab thousands of broken and hostile inputs, and count those that it does not answer in a sentence.

`python -m benchmarks.bad_inputs --count 10000 --seed 0 --json`. Every kind of input has a generator below. An answer
counts only if it is one of the product's own errors and names the field or the file; an input that turns out to be
usable is left out and another is drawn. Each kind runs in a process of its own, which an audit hook watches: none of
the inputs may start anything or connect anywhere.
"""

import argparse
import contextlib
import copy
import gzip
import io
import json
import multiprocessing
import os
import pickle
import random
import re
import resource
import shutil
import signal
import string
import struct
import sys
import tarfile
import tempfile
import time
import traceback
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Any
from unittest import mock

import numpy as np
from PIL import Image
from tqdm import tqdm

from cifar_core.data import batches, folders, pictures, sources
from cifar_core.data.errors import DataError
from cifar_core.experiment.datasets import DATASETS
from cifar_core.experiment.experiment import Data, Experiment
from cifar_core.experiment.recipes import RECIPES
from cifar_core.experiment.record import ExperimentError, Record
from cifar_core.experiment.settings import apply

ROOT = Path(__file__).parents[1]
SECONDS_UNTIL_HANGING = 10.0
MOST_MEGABYTES = 600.0
"""By which the largest memory of a process may grow with one input."""
MOST_BYTES = 12_000_000_000
"""What a process that is given inputs may have at all; importing TensorFlow takes a part of it."""
FAR = 4
"""Inputs drawn at most for each one wanted: what was changed at random may still be usable."""


@dataclass(frozen=True)
class Input:
    """A bad input: giving it returns the sentence with which it was refused, or None where it was usable.

    In an answer the pattern `named` is found, which says what names the field or the file.
    """

    give: Callable[[], str | None]
    named: str
    shown: str


@dataclass
class Tally:
    """What became of the inputs of one kind."""

    answered: int = 0
    usable: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)
    seconds: float = 0.0
    slowest: float = 0.0
    megabytes: float = 0.0

    @property
    def inputs(self) -> int:
        return self.answered + sum(self.failures.values())


class HangError(BaseException):
    """An input took too long. Nothing of the product's catches it."""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--count", type=int, default=10_000, help="inputs altogether")
    parser.add_argument("--seed", type=int, default=0, help="of the generators")
    parser.add_argument("--kind", choices=list(KINDS), action="append", help="only of this kind; may be repeated")
    parser.add_argument("--json", action="store_true", help="print one document on standard output")
    chosen = parser.parse_args()
    began = time.monotonic()
    kinds = chosen.kind or list(KINDS)
    shares = {kind: KINDS[kind][0] for kind in kinds}
    counts = {kind: max(1, chosen.count * share // sum(shares.values())) for kind, share in shares.items()}
    counts[kinds[0]] += max(0, chosen.count - sum(counts.values()))
    tallies = {}
    for kind, count in tqdm(counts.items(), desc="kinds", file=sys.stderr):
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            tallies[kind] = pool.submit(_quietly, kind, count, chosen.seed).result()  # a crash is an exception
    print(json.dumps(_document(tallies, time.monotonic() - began), indent=2, ensure_ascii=True))


def _document(tallies: dict[str, Tally], seconds: float) -> dict[str, Any]:
    failures = sum((each.failures for each in tallies.values()), Counter[str]())
    return {
        "inputs": sum(each.inputs for each in tallies.values()),
        "by_kind": {
            kind: {
                "inputs": each.inputs,
                "usable_and_not_counted": each.usable,
                "failures": dict(each.failures),
                "seconds": round(each.seconds, 1),
                "slowest_seconds": round(each.slowest, 2),
                "most_megabytes_more": round(each.megabytes),
            }
            for kind, each in tallies.items()
        },
        "tracebacks": failures["traceback"],
        "last_resort": failures["last_resort"],
        "hangs": failures["hang"],
        "too_much_memory": failures["memory"],
        "executed": failures["executed"],
        "examples": [example for each in tallies.values() for example in each.examples],
        "seconds": round(seconds, 1),
    }


def _quietly(kind: str, count: int, seed: int) -> Tally:
    """As `tally`, with a limit to memory, and with what libraries print to standard output on standard error."""
    with contextlib.suppress(ValueError, OSError):  # instead of taking the machine down
        resource.setrlimit(resource.RLIMIT_DATA, (MOST_BYTES, MOST_BYTES))
    with contextlib.redirect_stdout(sys.stderr):
        return tally(kind, count, seed)


def tally(kind: str, count: int, seed: int) -> Tally:
    """Give `count` inputs of a kind, in this process."""
    _, make = KINDS[kind]
    draws, found, began = random.Random(f"{kind} {seed}"), Tally(), time.monotonic()
    with tempfile.TemporaryDirectory(prefix="bad-") as folder, _own_home(Path(folder)), _nothing_started() as started:
        for number in range(FAR * count):
            if found.inputs == count:
                break
            place = Path(folder) / f"input-{number}"
            place.mkdir()
            before, at = _megabytes(), time.monotonic()
            given = make(draws, place)
            at = time.monotonic()
            outcome, said = _outcome(given, started, SECONDS_UNTIL_HANGING)
            if outcome == "hang":  # or other work has kept the machine busy: nothing that hangs ends this time
                outcome, said = _outcome(given, started, 3 * SECONDS_UNTIL_HANGING)
            found.slowest = max(found.slowest, time.monotonic() - at)
            more = _megabytes() - before
            found.megabytes = max(found.megabytes, more if number else 0.0)  # the first input imports things
            if number and more > MOST_MEGABYTES:
                outcome, said = "memory", f"{more:.0f} MB more"
            match outcome:
                case "answered":
                    found.answered += 1
                case "usable":
                    found.usable += 1
                case _:
                    found.failures[outcome] += 1
                    if len(found.examples) < 20:
                        found.examples.append(f"{kind}, {outcome}: {given.shown[:300]}\n{said[-1500:]}")
            shutil.rmtree(place, ignore_errors=True)
    found.seconds = time.monotonic() - began
    return found


def _outcome(given: Input, started: list[str], seconds: float) -> tuple[str, str]:
    """What became of an input, and what was said."""
    from cifar_core.runs.errors import StoreError

    started.clear()
    try:
        with _time_limit(seconds):
            said = given.give()
    except HangError:
        return "hang", ""
    except LastResortError as error:
        return "last_resort", str(error)
    except (ExperimentError, DataError, StoreError) as error:
        said = str(error)
    except Exception as error:
        if type(error).__name__ != "WeightsError":  # importing it would import Keras
            return "traceback", traceback.format_exc()
        said = str(error)
    if started:
        return "executed", ", ".join(started)
    if said is None:
        return "usable", ""
    return ("answered" if re.search(given.named, said) else "last_resort"), said


class LastResortError(Exception):
    """Something that was prepared for what nobody expected has answered."""


@contextmanager
def _time_limit(seconds: float) -> Iterator[None]:
    def give_up(_signal: int, _frame: FrameType | None) -> None:
        raise HangError

    before = signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextmanager
def _own_home(folder: Path) -> Iterator[None]:
    with mock.patch.dict(
        os.environ, {"TRANSFER_LAB_HOME": str(folder / "home"), "KERAS_HOME": str(folder / "keras"), "NO_COLOR": "1"}
    ):
        yield


@contextmanager
def _nothing_started() -> Iterator[list[str]]:
    """Note what inputs make this process start, or connect to. Audit hooks stay; this one then notes nothing more."""
    started: list[str] = []
    watching = [True]

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if watching and event in ("os.system", "subprocess.Popen", "os.exec", "os.posix_spawn", "socket.connect"):
            started.append(f"{event} {arguments!r}"[:200])

    sys.addaudithook(hook)
    try:
        yield started
    finally:
        watching.clear()


def _megabytes() -> float:
    """The most memory that this process has had so far."""
    unit = 1e6 if sys.platform == "darwin" else 1e3
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


# --- values and texts that nobody means

NASTY = (
    "", " ", "\0", "\x1b[31m", "\ud800", "\u202e", "٣", "１２", "1e9999", "-1", "0", "nan", "NaN", "null", "[]", "{}",
    "-", "--help", "../../etc/passwd", "/dev/zero", "/dev/stdin", "~nobody-here/x", "~", "/proc/self/mem", "C:\\con",
    "a\nb",
    "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "**b** [l](javascript:alert(1)) $x^2$ :red[r]", "%s%n",
    "${jndi:ldap://x}", "{0.__class__}", "'; DROP TABLE runs; --", "é" * 200, "🧨" * 50, "x" * 5000, "9" * 5000,
    "=cmd|' /C calc'!A0", "\ufeff", "true", "a=b=c", ",,,,", "....", "__class__", "phases.0", "0.0.0.0", "1,2,3,,",
)  # fmt: skip


def _value(draws: random.Random, depth: int = 0) -> Any:
    """A value of any type that JSON, as Python reads it, has."""
    match draws.randrange(12 if depth < 3 else 9):
        case 0:
            return None
        case 1:
            return draws.choice((True, False))
        case 2:
            return draws.choice((-1, 0, 1, 7, 255, 2**31, 2**63, -(2**63) - 1, 10**30, 10**400))
        case 3:
            return draws.choice((0.5, -0.0, 1e308, 5e-324, -1e308, float("nan"), float("inf"), float("-inf"), 3.0))
        case 4 | 5 | 6:
            return draws.choice(NASTY)
        case 7:
            return "".join(draws.choice(string.printable) for _ in range(draws.randrange(40)))
        case 8:
            return draws.choice(([], {}, [[]], [None], {"": None}, {"kind": "conv"}, {"kind": []}, [1, 1, 1]))
        case 9:
            return [_value(draws, depth + 1) for _ in range(draws.randrange(5))]
        case 10:
            return {str(_value(draws, 3))[:50]: _value(draws, depth + 1) for _ in range(draws.randrange(4))}
        case _:
            nested: Any = draws.choice((1, "x", None))
            for _ in range(draws.choice((5, 100, 200))):  # deeper ones are written as text
                nested = [nested]
            return nested


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of everything in a document."""
    found = [path] if path else []
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return found + [place for key, entry in entries for place in _places(entry, (*path, key))]


@cache
def _recipes() -> list[Any]:
    return [json.loads(recipe.experiment.to_json()) for recipe in RECIPES.values()]


@cache
def _field() -> str:
    """What names a field of an experiment: its path at the beginning of a line, or that there is none like it."""

    def below(kind: type[Record]) -> list[type[Record]]:
        return [each for own in kind.__subclasses__() for each in (own, *below(own))]

    known = "|".join({name for kind in below(Record) for name in kind.model_fields})
    return rf"(?m)^(experiment|seed|({known})(\..*)?)(: | is a single value)|there is no field "


def _mangled(draws: random.Random, document: Any) -> Any:
    """A document with one to three places changed."""
    changed = copy.deepcopy(document)
    for _ in range(draws.choice((1, 1, 1, 2, 3))):
        *parents, last = draws.choice(_places(changed))
        inner = changed
        for key in parents:
            inner = inner[key]
        match draws.randrange(8):
            case 0 if isinstance(inner, dict):
                del inner[last]
            case 1 if isinstance(inner, dict):
                inner[draws.choice(NASTY)] = _value(draws)
            case 2 if isinstance(inner, list):
                inner *= draws.choice((0, 2, 50))
                if not inner:
                    inner.append(_value(draws))
            case _:
                inner[last] = _value(draws)
        if not _places(changed):
            break
    return changed


def _bytes(draws: random.Random, content: bytes) -> bytes:
    """Content with bytes flipped, cut out, repeated, cut off or put in."""
    changed = bytearray(content)
    for _ in range(draws.choice((1, 1, 2, 5, 20))):
        at = draws.randrange(len(changed) + 1)
        match draws.randrange(7):
            case 0 if changed:
                changed[at % len(changed)] ^= 1 << draws.randrange(8)
            case 1:
                changed[at : at + draws.randrange(64)] = b""
            case 2:
                changed[at:at] = draws.randbytes(draws.randrange(1, 40))
            case 3:
                del changed[at:]
            case 4 if len(changed) > 8:
                changed[at % (len(changed) - 4) :][:4] = b""
                changed[at % (len(changed) - 4) : at % (len(changed) - 4) + 4] = draws.choice(
                    (b"\xff\xff\xff\xff", b"\x00\x00\x00\x00", b"\xff\xff\xff\x7f", b"\x00\x00\x00\x80")
                )
            case 5 if len(changed) > 1:
                start = draws.randrange(len(changed))
                changed[at:at] = changed[start : start + 32]
            case _ if changed:
                changed[at % len(changed)] = draws.randrange(256)
    return bytes(changed)


# --- the experiment file, --set, the form


def _experiment_file(draws: random.Random, place: Path) -> Input:
    content = _experiment_text(draws)

    def give() -> str | None:
        Experiment.parse_json(content)
        return None

    return Input(give, f"{_field()}|not JSON|not text", repr(content[:300]))


def _experiment_text(draws: random.Random) -> bytes:
    recipe = draws.choice(_recipes())
    if draws.random() < 0.75:
        return json.dumps(_mangled(draws, recipe)).encode()
    text = json.dumps(recipe, indent=draws.choice((None, 2)))
    match draws.randrange(12):
        case 0:
            return _bytes(draws, text.encode())
        case 1:
            return (draws.choice("[{") * draws.choice((50, 2000, 200_000))).encode()
        case 2:
            return ('{"a":' * draws.choice((50, 2000, 100_000)) + "1" + "}" * 100).encode()
        case 3:
            field = draws.choice([name for name in recipe if name != "version"])
            return (text.rstrip("}\n ") + f', "{field}": {json.dumps(recipe[field])}}}').encode()  # twice
        case 4:
            return text.replace(
                '"epochs": ', f'"epochs": {draws.choice(("9" * 5000, "1e400", "-", "0x1", "NaN"))}', 1
            ).encode()
        case 5 if draws.random() < 0.05:
            return json.dumps(recipe | {draws.choice(("backbone", "pixels", "x")): "x" * 10_000_000}).encode()
        case 6:
            return text.encode(draws.choice(("utf-16", "utf-32", "utf-16-le", "cp037")))
        case 7:
            return draws.choice(
                (b"", b" ", b"null", b"true", b"3", b'"x"', b"[]", b"{}", b"\xff\xfe", b"\0", b"\xef\xbb\xbf")
            )
        case 8:
            return draws.choice(NASTY).encode("utf-8", "surrogatepass")
        case 9:
            return draws.randbytes(draws.randrange(200))
        case 10:
            return text[: draws.randrange(len(text))].encode()
        case _:
            return text.replace('"', draws.choice(("'", "“", "")), draws.choice((1, -1))).encode()


def _set(draws: random.Random, place: Path) -> Input:
    base = draws.choice(list(RECIPES.values())).experiment
    assignments = [_assignment(draws) for _ in range(draws.choice((1, 1, 2)))]

    def give() -> str | None:
        apply(base, assignments)
        return None

    return Input(give, f"{_field()}|field=value|: expected a number from ", repr(assignments)[:300])


def _assignment(draws: random.Random) -> str:
    recipe = draws.choice(_recipes())
    path = [str(part) for part in draws.choice(_places(recipe))]
    match draws.randrange(8):
        case 0:
            path[draws.randrange(len(path))] = draws.choice(NASTY)
        case 1:
            path.append(draws.choice(("x", "0", "-1", "99", "")))
        case 2:
            return draws.choice(NASTY)
        case 3:
            return f"{draws.choice(NASTY)}={draws.choice(NASTY)}"
        case 4:
            path = path[:-1] or ["phases"]
    value = draws.choice(NASTY) if draws.random() < 0.4 else json.dumps(_value(draws))
    return f"{'.'.join(path)}={value}"


def _form(draws: random.Random, place: Path) -> Input:
    """The form's widgets with values that a browser could send, whatever the widget's bounds."""
    from cifar_core.experiment import links
    from cifar_core.ui import form

    values = form.fields(draws.choice([links.FIRST, *(recipe.experiment for recipe in RECIPES.values())]))
    for _ in range(draws.choice((1, 2, 3))):
        name = draws.choice([name for name in values if not name.endswith(("as_loaded", "form.phases"))])
        kept = values[name]
        if isinstance(kept, str) and name.rpartition(".")[2] in (
            "location",
            "weights_path",
            "name",
            "milestones",
            "units",
        ):
            values[name] = draws.choice([each for each in NASTY if "\ud800" not in each])
            phase = ".".join(name.split(".")[:2])
            values |= {f"{phase}.schedule": "steps"} if "milestones" in name else {}
            values |= {f"{phase}.head": "layers"} if "units" in name else {}
        elif isinstance(kept, int):
            values[name] = draws.choice((0, -1, 1, 2, 3, 65_537, 10**9))
        elif isinstance(kept, float):
            values[name] = draws.choice((-1.0, 0.0, 5e-324, 0.5, 1.0, 1e308))
        elif kept is None and name.endswith(("per_class", "input_side", "clip_norm")):  # what may be left empty
            values[name] = draws.choice((0, -1, 1, 3, 10**9))
        elif isinstance(kept, list) and name.endswith(("source", "target")):
            values[name] = draws.choice(([], [0], [0, 99], [1, 1], [-1, 2], list(range(10))))
    if draws.random() < 0.2:
        values |= {"form.weights": "file", "form.weights_path": draws.choice(("", *NASTY))}

    def give() -> str | None:
        form.shorten(values)
        form.clamp(values, Experiment.parse(form.without_freezing(form.draft(values))))
        Experiment.parse(form.draft(values))
        return None

    return Input(give, f"{_field()}|^Initial weights|^Steps of the learning rate", repr(values)[:300])


# --- the command line, in this process


def _command_line(draws: random.Random, place: Path) -> Input:
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
            return ["describe", recipe, "--set", _assignment(draws).replace("\0", "")]
        case 5:
            option = draws.choice(("--epochs", "--per-class", "--image-side", "--seed"))
            return ["run", recipe, option, draws.choice((nasty, "0", "-3", "1.5", "9" * 30, "9" * 5000, "1e3"))]
        case 6:
            return ["run", recipe, "--data", nasty or "x", *draws.choice(([], ["--image-side", "64"]))]
        case 7:
            file.write_bytes(_experiment_text(draws))
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


# --- links: every page, as AppTest draws it

PAGES = {
    "pages/1_Experiment.py": ("start", "set", "seed"),
    "pages/2_Live.py": ("run",),
    "pages/3_Results.py": ("run",),
    "pages/4_Compare.py": ("runs", "baseline"),
    "pages/7_Plan.py": ("start", "set", "view", "strategies", "seeds", "last", "block", "baseline", "epochs"),
    "pages/8_Try.py": ("runs",),
}


def _link(draws: random.Random, place: Path) -> Input:
    page = draws.choice(list(PAGES))
    nasty = [each for each in NASTY if each and "\ud800" not in each]  # an address decodes to no lone surrogate
    query: dict[str, str | list[str]] = {draws.choice(PAGES[page]): draws.choice(nasty)}
    if "set" in PAGES[page] and draws.random() < 0.6:
        changes = [_assignment(draws).replace("\ud800", "?") for _ in range(draws.choice((1, 2)))]
        if draws.random() < 0.3:  # paths that lead nowhere good
            path = draws.choice(nasty)
            own = {"name": "folder", "location": path, "classes": ["a", "b"], "image_side": 32}
            places = {"initial_weights": {"source": "file", "path": path}, "data": own}
            field = draws.choice(list(places))
            changes = [f"{field}={json.dumps(places[field])}", 'split={"source":[0,1],"target":[0,1]}']
        query |= {"start": draws.choice(list(RECIPES)), "set": changes}
    names = (
        *query,
        "There (is|are) no (recipe|run|file|CIFAR-10 in|such)",
        "runs that this page cannot",
        "field=value",
        "exist",
    )
    return Input(lambda: _opened(page, query), "|".join((_field(), *names)), f"{page} {query!r}"[:300])


def _opened(page: str, query: dict[str, str | list[str]]) -> str | None:
    """What a page says is wrong with its address."""
    test = _visitor()
    test.switch_page(page)
    test.query_params.clear()
    test.query_params.update(query)
    test.run()
    if test.exception:
        raise LastResortError("\n".join(f"{each.message}\n{each.stack_trace}" for each in test.exception))
    said = "\n".join(each.value for each in (*test.error, *test.warning))
    said = said.replace("This link does not open an experiment. ", "").replace("This link does not open a plan. ", "")
    said = re.sub(r"\\(\W|_)", r"\1", said)  # undo the escapes of text that is shown as it was typed
    if "went wrong" in said:
        raise LastResortError(said)
    return said or None


@cache
def _visitor() -> Any:
    """The app with two finished runs."""
    from streamlit.testing.v1 import AppTest

    from cifar_core.data.catalogue import open_images
    from cifar_core.experiment.links import FIRST
    from cifar_core.experiment.measured import State
    from cifar_core.home import home
    from cifar_core.runs.store import Store

    open_images(Data(name="sample"), home=home())
    store = Store(home())
    for seed in range(2):
        run = store.submit(FIRST, seed, f"a run, seed {seed}")
        store.claim(run, run=run, lease=1e6)
        store.artifacts(run).joinpath("model.keras").touch()
        store.finish(run, run, State.STOPPED, reason="Stopped on request.")
    store.close()
    return AppTest.from_file(str(ROOT / "app.py"), default_timeout=60).run()


# --- CIFAR-10: batches and archives

SMALL = replace(DATASETS["cifar10"], train_per_class=1, test_per_class=1)
ROWS = SMALL.train_size // 5
"""Images in a batch of a CIFAR-10 as small as can be."""


@cache
def _batch(number: int, protocol: int) -> bytes:
    pixels = np.random.default_rng(number).integers(0, 256, (ROWS, 3072), dtype=np.uint8)
    return pickle.dumps({"data": pixels, "labels": [place % 10 for place in range(ROWS)]}, protocol)


class _Calls:
    """Pickles to a call."""

    def __init__(self, function: Any, *arguments: Any):
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


def _hostile_pickle(draws: random.Random) -> bytes:
    """A pickle that runs something, or claims to be huge."""
    calls: list[Any] = [os.system, eval, exec, __import__, open, getattr, np.load, shutil.rmtree, zlib.decompress]
    huge = struct.pack("<Q", 1 << draws.randrange(33, 60))
    return draws.choice(
        (
            pickle.dumps({"data": _Calls(draws.choice(calls), "touch executed")}, draws.choice((2, 4, 5))),
            b"cos\nsystem\n(S'touch executed'\ntR.",
            b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x05touch\x85R.",
            b"(S'touch executed'\nios\nsystem\n.",
            b"\x80\x04\x8e" + huge + b"x.",
            b"\x80\x04\x8d" + huge + b"x.",
            b"\x80\x04\x95" + huge + b"}.",
            b"\x80\x02}" + b"\x85" * draws.choice((10, 100_000)) + b"K\x01s.",
            b"\x80\x02" + b"]" * draws.choice((10, 100_000)) + b".",
            b"\x80\x02" + b"(" * 1000 + b"t" * 1000 + b".",
            b"\x80\x02]q\x00" + b"h\x00h\x00\x86" * 100 + b".",
            b"\x80\x04\x8c\x01x\x94" + b"h\x00h\x00\x86\x94" * 60 + b".",
        )
    )


def _batch_file(draws: random.Random, place: Path) -> Input:
    match draws.randrange(5):
        case 0:
            content = _hostile_pickle(draws)
        case 1:
            odd: dict[Any, Any] = {"data": _value(draws), "labels": _value(draws)} | {
                draws.choice(NASTY): _value(draws)
            }
            try:
                content = pickle.dumps(odd, draws.choice((0, 1, 2, 4, 5)))
            except RecursionError:
                content = b"\x80\x02" + b"]" * 2000 + b"a" * 1999 + b"."
        case _:
            content = _bytes(draws, _batch(draws.randrange(3), draws.choice((2, 3, 4, 5))))

    def give() -> str | None:
        batches.read_python_batch(content, file="data_batch_3", rows=ROWS, classes=10)
        return None

    return Input(give, "data_batch_3", repr(content[:300]))


def _archive(draws: random.Random, place: Path) -> Input:
    path = place / "given.tar.gz"
    match draws.randrange(4):
        case 0:
            path.write_bytes(_bytes(draws, _good_archive(draws.choice(("w", "w:gz")))))
        case 1:
            path.write_bytes(_hostile_archive(draws))
        case 2:
            _folder_of_batches(draws, path)
        case _:
            inner = _bytes(draws, gzip.decompress(_good_archive("w:gz")))
            path.write_bytes(gzip.compress(inner, 1))

    def give() -> str | None:
        for _ in sources.read(sources.locate(path), SMALL):
            pass
        return None

    return Input(give, r"given\.tar\.gz", f"{path.name}, {path.lstat().st_size} bytes")


@cache
def _good_archive(mode: str) -> bytes:
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode=mode) as tar:  # type: ignore[call-overload]  # one of two modes
        for number, name in enumerate(sources.PYTHON):
            _add(tar, f"cifar-10-batches-py/{name}", _batch(number % 3, 2))
    return written.getvalue()


def _add(tar: tarfile.TarFile, name: str, content: bytes, **fields: Any) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    for key, value in fields.items():
        setattr(member, key, value)
    tar.addfile(member, io.BytesIO(content))


def _hostile_archive(draws: random.Random) -> bytes:
    written = io.BytesIO()
    match draws.randrange(7):
        case 0:  # points outside, or is a link, a device, a pipe
            with tarfile.open(fileobj=written, mode="w:gz") as tar:
                name = draws.choice(("../../data_batch_1", "/tmp/data_batch_1", "a/../../data_batch_1", "data_batch_1"))
                kind = draws.choice(
                    (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.DIRTYPE)
                )
                _add(tar, name, b"", type=kind, linkname=draws.choice(("/etc/passwd", "../x", "data_batch_1")))
        case 1:  # hostile batches
            with tarfile.open(fileobj=written, mode="w:gz") as tar:
                for name in sources.PYTHON:
                    _add(tar, name, _hostile_pickle(draws))
        case 2:  # a bomb
            head = tarfile.TarInfo(draws.choice(("filler", "data_batch_1")))
            head.size = 1 << draws.randrange(30, 45)
            bomb = gzip.compress(bytes(1 << 20), 9) * draws.choice((1, 30))
            written.write(gzip.compress(head.tobuf()) + bomb)
        case 3:
            written.write(gzip.compress(tarfile.TarInfo("a").tobuf() * draws.choice((5, 1100))))
        case 4:
            link = tarfile.TarInfo("././@LongLink")
            link.type = draws.choice((tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE, tarfile.GNUTYPE_SPARSE))
            link.size = draws.choice((1, 1 << 40))
            written.write(gzip.compress((link.tobuf() + bytes(512)) * draws.choice((1, 1200))))
        case 5:  # a batch twice, or of both forms
            with tarfile.open(fileobj=written, mode="w") as tar:
                for name in (*sources.PYTHON, draws.choice((*sources.PYTHON, *sources.BINARY))):
                    _add(tar, f"x/{name}", _batch(1, 2))
        case _:  # a zip file, with names that lead outside
            with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as archive:
                archive.writestr("../../data_batch_1", bytes(100_000))
    return written.getvalue()


def _folder_of_batches(draws: random.Random, path: Path) -> None:
    path.mkdir()
    spoilt = draws.choice(list(sources.PYTHON))
    for name in sources.PYTHON:
        (path / name).write_bytes(_batch(1, 2))
    (path / spoilt).unlink()
    match draws.randrange(6):
        case 0:
            (path / spoilt).mkdir()
        case 1:
            (path / spoilt).symlink_to("/dev/zero")
        case 2:
            os.mkfifo(path / spoilt)
        case 3:
            with (path / spoilt).open("wb") as file:
                file.truncate(10**12)
        case 4:
            (path / spoilt).write_bytes(_bytes(draws, _batch(1, 2)))


# --- images


def _image(draws: random.Random, place: Path) -> Input:
    """One bad image among good ones, in a folder of images per class: it must be listed by its name."""
    suffix = draws.choice((".png", ".jpg", ".gif", ".bmp", ".webp", ".tif"))
    for name in ("cats", "dogs"):
        (place / name).mkdir()
        for number in range(3):
            (place / name / f"{number}.png").write_bytes(_good_image("PNG"))
    bad = place / "cats" / f"bad{suffix}"
    bad.write_bytes(_bad_image(draws))
    data = Data.parse({"name": "folder", "location": str(place), "classes": ["cats", "dogs"], "image_side": 8})

    def give() -> str | None:
        left_out = pictures.read_all(folders.look(place), data.dataset, lambda *_: None)
        if any(each.endswith(f": {pictures.LAST_RESORT}") for each in left_out):
            raise LastResortError("\n".join(left_out))
        return "\n".join(left_out) or None

    return Input(give, re.escape(bad.name), f"{bad.name}: {bad.read_bytes()[:200]!r}")


@cache
def _good_image(form: str) -> bytes:
    written = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (20, 16, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(written, form)
    return written.getvalue()


def _bad_image(draws: random.Random) -> bytes:
    form = draws.choice(pictures.FORMATS)
    match draws.randrange(9):
        case 0:
            width, height = draws.choice(
                ((100_000, 100_000), (2**31 - 1, 2**31 - 1), (1, 2**31 - 1), (0, 0), (60_000, 1000))
            )
            return _png(width, height, zlib.compress(bytes(1000)))
        case 1:
            side = draws.choice((7072, 20_000))
            return _png(side, side, _zeros(7072 * (3 * 7072 + 1)))  # whole for the first, which is just too large
        case 2:
            return b"BM" + struct.pack(
                "<IHHIIiiHHIIiiII", 54, 0, 0, 54, 40, 2**31 - 1, -(2**31), 1, 24, 0, 0, 0, 0, 0, 0
            )
        case 3:
            return b"GIF89a" + struct.pack("<HHBBB", 65535, 65535, 0xF7, 0, 0) + draws.randbytes(200)
        case 4:
            return draws.choice((b"", b"\x89PNG", b"%PDF-1.4", b"<svg xmlns='x'/>", b"RIFF", b"II*\0", b"\xff\xd8\xff"))
        case 5:
            return b"%!PS-Adobe-3.0 EPSF\n%%BoundingBox: 0 0 1 1\n(touch executed) (w) file\n"
        case _:
            return _bytes(draws, _good_image(form))


def _png(width: int, height: int, packed: bytes) -> bytes:
    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


@cache
def _zeros(count: int) -> bytes:
    packer = zlib.compressobj(1)
    return b"".join([*(packer.compress(bytes(1 << 20)) for _ in range(count >> 20)), packer.flush()])


def _folder(draws: random.Random, place: Path) -> Input:
    """A folder that should hold a folder of images per class, and does not."""
    from cifar_core.data.catalogue import data_at, open_images
    from cifar_core.home import home

    root = place / "mine"
    root.mkdir()
    named: str = str(root)
    match draws.randrange(9):
        case 0:
            named = draws.choice([each for each in NASTY if each not in ("~", "/proc/self/mem")])
        case 1:
            (root / "only one").mkdir()
        case 2:
            for name in ("a", "b"):
                (root / name).symlink_to(draws.choice(("/etc", "/", "..", "a", "/proc/self/fd")))
        case 3:
            for name in ("train/a", "train/b", "test/a", "test/c"):
                (root / name).mkdir(parents=True)
                (root / name / "x.png").write_bytes(_good_image("PNG"))
        case 4:
            for number in range(1001):
                (root / f"class {number}").mkdir()
        case 5:
            for raw in (b"\xff\xfe", b"\xe9t\xe9"):
                os.mkdir(os.path.join(os.fsencode(root), raw))  # noqa: PTH102, PTH118 - names that are no text
                Path(os.fsdecode(os.path.join(os.fsencode(root), raw, b"x.png"))).write_bytes(b"")  # noqa: PTH118
        case 6:
            for name in ("a", "b"):
                (root / name).mkdir()
                for number in range(3):
                    (root / name / f"{number}.png").write_bytes(_bad_image(draws))
        case 7:
            for name in ("a", "b"):
                (root / name).mkdir()
                os.mkfifo(root / name / "x.png")
                os.mkfifo(root / name / "y.png")
        case _:
            named = str(root / draws.choice(("nowhere", "x" * 300, "a/b/c")))

    def give() -> str | None:
        open_images(data_at(named), home=home())
        return None

    shown = re.escape(str(Path(named))[:40]) if named else "No folder"  # "//" is "/" in a path
    return Input(give, f"{shown}|Left out: [ab]/", repr(named)[:300])


# --- weights; in their process Keras is imported


def _weights(draws: random.Random, place: Path) -> Input:
    from cifar_core.training.initial_weights import read_weights

    path = place / f"given{draws.choice(('.keras', '.h5', '.weights.h5'))}"
    match draws.randrange(3):
        case 0:
            path.write_bytes(_hostile_keras(draws, place))
        case 1:
            _hostile_hdf5(draws, path)
        case _:
            path.write_bytes(_bytes(draws, _good_weights(draws.choice((".keras", ".h5", ".weights.h5")))))

    def give() -> str | None:
        read_weights(path)
        return None

    return Input(
        give, re.escape(path.name), f"{path.name}: {path.read_bytes()[:200]!r}" if path.is_file() else path.name
    )


@cache
def _good_weights(suffix: str) -> bytes:
    import keras

    model = keras.Sequential([keras.Input((6, 6, 3)), keras.layers.Conv2D(4, 3), keras.layers.Flatten()])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"model{suffix}"
        (model.save_weights if suffix == ".weights.h5" else model.save)(path)
        return path.read_bytes()


def _hostile_keras(draws: random.Random, place: Path) -> bytes:
    """A `.keras` file that would run something, write elsewhere or fill memory if it were loaded."""
    with zipfile.ZipFile(io.BytesIO(_good_weights(".keras"))) as good:
        members = {name: good.read(name) for name in good.namelist()}
    packing = zipfile.ZIP_STORED
    spoilt = place / "spoilt.h5"
    match draws.randrange(8):
        case 0:  # a Lambda layer: only a name here, as nothing is executed; the weights are not there
            members["config.json"] = b'{"class_name": "Lambda", "config": {"function": "os.system"}, "name": "a"}'
            members["model.weights.h5"] = draws.choice((b"", b"x" * 100))
        case 1:
            del members[draws.choice(("config.json", "model.weights.h5"))]
        case 2:
            members["model.weights.h5"] = bytes(draws.choice((10**6, 4 * 10**8)))
            packing = zipfile.ZIP_DEFLATED
        case 3:
            members["config.json"] = b'{"name": "' + b"a" * draws.choice((10**6, 2 * 10**8)) + b'"}'
            packing = zipfile.ZIP_DEFLATED
        case 4:
            members = {f"../../{name}": content for name, content in members.items()}
        case 5:
            members["config.json"] = draws.choice((b"\xff\xfe", b"", b"{}")) + draws.randbytes(50)
            members["model.weights.h5"] = _bytes(draws, members["model.weights.h5"])
        case 6:
            _hostile_hdf5(draws, spoilt)
            members["model.weights.h5"] = spoilt.read_bytes()
        case _:
            members["model.weights.h5"] = _good_weights(".keras")  # a zip file in a zip file
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", packing) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    content = written.getvalue()
    if draws.random() < 0.2:  # other sizes in its directory
        content = content.replace(struct.pack("<I", len(members.get("model.weights.h5", b""))), b"\xff\xff\xff\x7f")
    return content


def _hostile_hdf5(draws: random.Random, path: Path) -> None:
    import h5py

    with h5py.File(path, "w") as file:
        older = draws.random() < 0.5
        group = file.create_group("conv" if older else "layers/conv/vars")
        first = "kernel" if older else "0"
        if older:
            file.attrs["layer_names"] = draws.choice(
                ([b"conv"], [b"conv", b"gone"], b"conv", 3, [b"\xff"], [b"../conv"])
            )
            group.attrs["weight_names"] = draws.choice(([b"kernel"], [b"gone"], 7, [b"/"], [b"."], b""))
        match draws.randrange(8):
            case 0:
                group.create_dataset(first, (10**6, 10**6), "f4", chunks=(1000, 1000))  # declared, never written
            case 1:
                group.create_dataset(first, (2 * 10**8,), "f4", chunks=(10**6,), compression="gzip")
            case 2:
                group[first] = h5py.ExternalLink("/etc/hostname", "/")
            case 3:
                group.create_dataset(first, (16,), "u1", external=[("/etc/passwd", 0, 16)])
            case 4:
                layout = h5py.VirtualLayout((16,), "f4")
                layout[:] = h5py.VirtualSource("/etc/passwd", "x", (16,))
                group.create_virtual_dataset(first, layout)
            case 5:
                group[first] = h5py.SoftLink(f"{group.name}/{first}")
            case 6:
                group[first] = draws.choice(
                    (np.array([b"text"]), np.array([1 + 2j]), np.bytes_(b"x"), np.array([True]))
                )
            case _:
                group.create_group(first if older else draws.choice(("0", "1", "x")))


KINDS: dict[str, tuple[int, Callable[[random.Random, Path], Input]]] = {
    "experiment file": (270, _experiment_file),
    "--set": (200, _set),
    "form": (100, _form),
    "command line": (90, _command_line),
    "link": (40, _link),
    "batch": (100, _batch_file),
    "archive": (60, _archive),
    "image": (60, _image),
    "folder": (20, _folder),
    "weights": (60, _weights),
}
"""Every kind of input: its share of all inputs, and what makes one."""

if __name__ == "__main__":
    main()
