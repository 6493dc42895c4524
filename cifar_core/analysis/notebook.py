"""The lab notebook: every run in order, what it changed against the run before it, and what came of it."""

import re
import textwrap
from collections.abc import Callable, Sequence

import pandas as pd

from cifar_core.analysis import wording
from cifar_core.analysis.comparison import same_test_images, settings
from cifar_core.analysis.labels import labels
from cifar_core.analysis.verdict import Paired, judged_by_images
from cifar_core.analysis.wording import count, interval, points, status
from cifar_core.experiment.measured import Comparison, Run

CHANGES_NAMED, LONGEST_VALUE = 4, 48
"""What of the changes a page has room for; files have all of them."""
JUDGED_BY = (
    "Each run is judged against the one before it, by the test images alone: how far another seed would move it is "
    "not measured here."
)

Entry = tuple[Run, Run | None]
"""A run and the one that was submitted before it."""
Pairing = Callable[[Run, Run], Paired | None]
"""Compares two runs image by image; None where one of them kept no predictions."""


def entries(
    runs: Sequence[Run], search: str = "", comparisons: Sequence[Comparison] = (), *, archived: bool = True
) -> list[Entry | Comparison]:
    """Return runs and kept comparisons in whose name, tags, note, id or state all words are found, newest first.

    All `runs` are to be given, newest first: archived ones count as the run before, even where they are not returned.
    """
    words = search.casefold().split()
    pairs = zip(runs, [*runs[1:], None], strict=False)  # of no runs, None is left over
    found: list[Entry | Comparison] = [(run, before) for run, before in pairs if archived or not run.archived]
    found = sorted([*found, *comparisons], key=lambda each: _head(each).created, reverse=True)
    return [each for each in found if all(word in _read(_head(each)) for word in words)]


def _head(each: Entry | Comparison) -> Run | Comparison:
    return each if isinstance(each, Comparison) else each[0]


def _read(each: Run | Comparison) -> str:
    more = (*each.tags, each.state) if isinstance(each, Run) else ("comparison",)
    return "\n".join((each.name, each.note, each.id, *more)).casefold()


def changed(run: Run, before: Run | None) -> str:
    """Return what a run changed against the run before, in words: "phase 2: epochs 3 → 5; seed 0 → 1"."""
    return "the first run" if before is None else "; ".join(_changes(run, before)) or "nothing"


def changed_in_short(run: Run, before: Run | None) -> str:
    """Return `changed`, the first few of many changes, and the beginnings of long values."""
    if before is None:
        return changed(run, before)
    found = _changes(run, before, LONGEST_VALUE)
    more = len(found) - CHANGES_NAMED
    return "; ".join(found[:CHANGES_NAMED]) + f"; and {more} more" * (more > 0) or "nothing"


def _changes(run: Run, before: Run, longest: int | None = None) -> list[str]:
    mine, theirs = settings(run), settings(before)

    def of(found: dict[str, str], name: str) -> str:
        value = found.get(name, wording.MISSING)
        return textwrap.shorten(value, longest, placeholder=" …") if longest else value

    names = dict.fromkeys([*mine, *theirs])
    return [f"{name} {of(theirs, name)} → {of(mine, name)}" for name in names if mine.get(name) != theirs.get(name)]


def outcome(run: Run, before: Run | None, pairing: Pairing) -> str:
    """Return a run's test accuracy and its verdict against the run before; or, without one, how the run stands.

    Accuracies are set against each other only where both runs were tested on the same images.
    """
    test = run.metrics.get("test")
    if not test:
        return status(run)
    said = interval(test["accuracy"], test["accuracy_low"], test["accuracy_high"], int(test["n"]))
    if before is not None and _comparable(run, before):
        difference = points(test["accuracy"] - before.metrics["test"]["accuracy"])
        judgement = judged_by_images(run, before, pairing(run, before))
        said += f", {difference} against the run before ({before.id}): {judgement}"
    return said


def _comparable(run: Run, before: Run) -> bool:
    return bool(run.metrics.get("test") and before.metrics.get("test")) and same_test_images(run, before)


def what_goes(runs: Sequence[Run]) -> str:
    """Return what deleting these runs removes, and which of them cannot be deleted yet."""
    ended = [run for run in runs if run.state.is_finished]
    files = wording.size(sum(run.size for run in ended))
    said = f"This removes {count(len(ended), 'run')}, all their measurements and their files ({files})."
    going_on = len(runs) - len(ended)
    return said + (f" {count(going_on, 'run')} that waits or works stays: stop it first." if going_on else "")


def table(found: Sequence[Entry | Comparison], pairing: Pairing) -> pd.DataFrame:
    """Return a row per entry, for a file: when, what it is, id, name, and of a run all that is known here.

    `difference` of the accuracies is against the run `before`, with its 95 % interval image by image, as shares.
    """
    columns = (
        *("when", "entry", "id", "name", "state", "seed", "before", "changed", "accuracy", "low", "high", "n"),
        *("difference", "difference low", "difference high", "verdict", "flags", "tags", "note", "archived", "runs"),
    )
    rows = pd.DataFrame([_row(each, pairing) for each in found], columns=list(columns))
    return rows.astype({"seed": "Int64", "n": "Int64"})  # whole numbers, even where some have none


def _row(each: Entry | Comparison, pairing: Pairing) -> dict[str, object]:
    head = _head(each)
    row: dict[str, object] = {
        "when": head.created.isoformat(timespec="seconds"),
        "entry": "run",
        "id": head.id,
        "name": head.name,
        "note": head.note,
    }
    if isinstance(each, Comparison):
        return row | {"entry": "comparison", "runs": "; ".join(each.runs)}
    run, before = each
    test = run.metrics.get("test", {})
    row |= {
        "state": str(run.state),
        "seed": run.seed,
        "before": "" if before is None else before.id,
        "changed": changed(run, before),
        "accuracy": test.get("accuracy"),
        "low": test.get("accuracy_low"),
        "high": test.get("accuracy_high"),
        "n": test.get("n"),
        "flags": "; ".join(labels(run)),
        "tags": "; ".join(run.tags),
        "archived": run.archived,
    }
    if before is not None and _comparable(run, before):
        paired = pairing(run, before)
        row["difference"] = test["accuracy"] - before.metrics["test"]["accuracy"]
        row["verdict"] = judged_by_images(run, before, paired)
        if paired is not None:
            row |= {"difference low": paired.low, "difference high": paired.high}
    return row


def to_markdown(found: Sequence[Entry | Comparison], pairing: Pairing) -> str:
    """Return the entries as Markdown, a section for each; names and notes as they were typed."""
    parts = [f"# Lab notebook\n\n{JUDGED_BY}"]
    for each in found:
        head = _head(each)
        kind = "comparison" if isinstance(each, Comparison) else "run"
        when = f"{head.created:%Y-%m-%d %H:%M} UTC · {kind} {head.id}"
        lines = [f"## {_literal(head.name)}"]
        if isinstance(each, Comparison):
            lines.append(f"{when} · of {', '.join(each.runs)}")
        else:
            run, before = each
            lines.append(f"{when} · {run.state}")
            result = _literal(outcome(run, before, pairing))
            lines.append(f"- Changed: {_literal(changed(run, before))}\n- Result: {result}")
            if flags := labels(run):
                lines.append(f"Beside its numbers: {'; '.join(flags)}.")
            if run.tags:
                lines.append(f"Tags: {_literal('; '.join(run.tags))}.")
        if head.note:
            lines.append("\n".join(f"> {_literal(line)}".rstrip() for line in head.note.splitlines()))
        parts.append("\n\n".join(lines))
    return "\n\n".join(parts) + "\n"


def _literal(text: str) -> str:
    return re.sub(r"([\\`*_\[\]<>#$~])", r"\\\1", " ".join(text.split()))
