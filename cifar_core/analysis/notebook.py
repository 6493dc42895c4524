"""The lab notebook: every run in order, what it changed against the run before it, and what came of it."""

import re
import textwrap
from collections.abc import Sequence

import pandas as pd

from cifar_core.analysis import wording
from cifar_core.analysis.comparison import same_test_images, settings
from cifar_core.analysis.labels import labels
from cifar_core.analysis.wording import count, interval, points, status
from cifar_core.experiment.measured import Run

_CHANGES_NAMED = 4
_LONGEST_VALUE = 48

Entry = tuple[Run, Run | None]
"""A run and the one that was started before it."""


def entries(runs: Sequence[Run], search: str = "") -> list[Entry]:
    """Return the runs, given and returned newest first, in whose name, tags, note, id or state all words are found."""
    words = search.casefold().split()
    found = zip(runs, [*runs[1:], None], strict=False)  # of no runs, None is left over
    return [(run, before) for run, before in found if all(word in _read(run) for word in words)]


def _read(run: Run) -> str:
    return "\n".join((run.name, *run.tags, run.note, run.id, run.state)).casefold()


def changed(run: Run, before: Run | None) -> str:
    """Return what a run changed against the run before, in words: "phase 2: epochs 3 → 5; seed 0 → 1"."""
    if before is None:
        return "the first run"
    mine, theirs = settings(run), settings(before)
    found = [
        f"{name} {_short(theirs.get(name, wording.MISSING))} → {_short(mine.get(name, wording.MISSING))}"
        for name in dict.fromkeys([*mine, *theirs])
        if mine.get(name) != theirs.get(name)
    ]
    more = len(found) - _CHANGES_NAMED
    return "; ".join(found[:_CHANGES_NAMED]) + f"; and {more} more" * (more > 0) or "nothing"


def _short(value: str) -> str:
    return textwrap.shorten(value, _LONGEST_VALUE, placeholder=" …")


def outcome(run: Run, before: Run | None) -> str:
    """Return a run's test accuracy and what it is against the run before; or, without one, how the run stands.

    Accuracies are set against each other only where both runs were tested on the same images.
    """
    test = run.metrics.get("test")
    if not test:
        return status(run)
    said = interval(test["accuracy"], test["accuracy_low"], test["accuracy_high"], int(test["n"]))
    theirs = before.metrics.get("test") if before is not None else None
    if before is not None and theirs and same_test_images(run, before):
        said += f", {points(test['accuracy'] - theirs['accuracy'])} against the run before"
    return said


def what_goes(runs: Sequence[Run]) -> str:
    """Return what deleting these runs removes, and which of them cannot be deleted yet."""
    ended = [run for run in runs if run.state.is_finished]
    files = wording.size(sum(run.size for run in ended))
    said = f"This removes {count(len(ended), 'run')}, all their measurements and their files ({files})."
    going_on = len(runs) - len(ended)
    return said + (f" {count(going_on, 'run')} that waits or works stays: stop it first." if going_on else "")


def table(found: Sequence[Entry]) -> pd.DataFrame:
    """Return a row per entry, for a file: when, id, name, state, seed, what changed and came out, flags, tags, note."""
    rows = []
    for run, before in found:
        test = run.metrics.get("test", {})
        rows.append(
            {
                "when": run.created.isoformat(timespec="seconds"),
                "id": run.id,
                "name": run.name,
                "state": str(run.state),
                "seed": run.seed,
                "changed": changed(run, before),
                "accuracy": test.get("accuracy", float("nan")),
                "low": test.get("accuracy_low", float("nan")),
                "high": test.get("accuracy_high", float("nan")),
                "n": test.get("n"),
                "flags": "; ".join(labels(run)),
                "tags": "; ".join(run.tags),
                "note": run.note,
                "archived": run.archived,
            }
        )
    return pd.DataFrame(rows)


def to_markdown(found: Sequence[Entry]) -> str:
    """Return the entries as Markdown, a section for each; names and notes as they were typed."""
    parts = ["# Lab notebook"]
    for run, before in found:
        lines = [f"## {_literal(run.name)}", f"{run.created:%Y-%m-%d %H:%M} UTC · run {run.id} · {run.state}"]
        lines.append(f"- Changed: {_literal(changed(run, before))}\n- Result: {_literal(outcome(run, before))}")
        if flags := labels(run):
            lines.append(f"Beside its numbers: {'; '.join(flags)}.")
        if run.tags:
            lines.append(f"Tags: {_literal('; '.join(run.tags))}.")
        if run.note:
            lines.append("\n".join(f"> {_literal(line)}".rstrip() for line in run.note.splitlines()))
        parts.append("\n\n".join(lines))
    return "\n\n".join(parts) + "\n"


def _literal(text: str) -> str:
    return re.sub(r"([\\`*_\[\]<>#$~])", r"\\\1", " ".join(text.split()))
