"""Runs beside each other: the settings that differ, what came out, and what limits the comparison.

Runs are named by their title (`labels.titles`), so that two of one name stay apart.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cifar_core.analysis import wording
from cifar_core.analysis.figures import MOST_CLASSES, ledger_table
from cifar_core.analysis.history import EpochRow, epoch_rows, images_seen, training_seconds
from cifar_core.analysis.labels import labels, seconds_labels, titles
from cifar_core.analysis.metrics import shares
from cifar_core.analysis.samples import occurring
from cifar_core.experiment.beginning import fingerprint
from cifar_core.experiment.experiment import Experiment
from cifar_core.experiment.measured import Measured, PhaseHistory, Run

_NAMES = {
    "data": "data",
    "data.name": "data set",
    "data.per_class": "images per class",
    "data.location": "files from",
    "validation.on": "validated on",
    "validation.share": "share for validation",
    "split.source": "source classes",
    "split.target": "target classes",
    "train_on": "classes",
    "features": "stored features",
    "freeze": "frozen",
    "head": "head",
}


def settings(run: Run) -> dict[str, str]:
    """Return every setting of a run by a readable name, values in words."""
    experiment = run.experiment
    plain = experiment.model_dump(mode="json", exclude={"version", "phases", "split"})
    found = {"seed": str(run.seed)}
    for side in ("source", "target"):
        found[_NAMES[f"split.{side}"]] = ", ".join(
            experiment.dataset.classes[index] for index in getattr(experiment.split, side)
        )
    found |= {_readable(name): _in_words(value) for name, value in _flat(plain)}
    for index, phase in enumerate(experiment.phases):
        fields = phase.model_dump(mode="json", exclude={"freeze", "head"})
        fields |= {"freeze": _frozen(experiment, index), "head": _head(experiment, index)}
        found |= {f"phase {index + 1}: {_readable(name)}": _in_words(value) for name, value in fields.items()}
    return found


def settings_that_differ(runs: Sequence[Run]) -> pd.DataFrame:
    """Return only what differs: a row per setting (the index), a column per run title, values in words.

    A setting that a run does not have (a third phase, say) is a dash.
    """
    names = titles(runs)
    columns = {names[run.id]: settings(run) for run in runs}
    every = dict.fromkeys(setting for found in columns.values() for setting in found)
    differing = [
        setting for setting in every if len({found.get(setting, wording.MISSING) for found in columns.values()}) > 1
    ]
    return pd.DataFrame(
        {name: [found.get(setting, wording.MISSING) for setting in differing] for name, found in columns.items()},
        index=pd.Index(differing, name="setting"),
    )


def other_paths(runs: Sequence[Measured]) -> str | None:
    """Return a sentence where some runs of one experiment trained a phase on stored features, and others did not."""
    paths: dict[tuple[str, int], dict[bool, str]] = {}
    for run, histories in runs:
        for phase in histories:
            if phase.features:
                ways = paths.setdefault((fingerprint(run.experiment), phase.index), {})
                ways.setdefault(phase.on_stored_features, phase.name)
    apart = dict.fromkeys(f"“{ways[True]}”" for ways in paths.values() if len(ways) > 1)
    if not apart:
        return None
    return (
        f"Of one experiment, some runs trained {wording.listing(list(apart))} on stored features, others did not: "
        "even with one seed they need not be equal bit for bit."
    )


def _flat(fields: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    pairs: list[tuple[str, Any]] = []
    for name, value in fields.items():
        pairs += _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else [(prefix + name, value)]
    return pairs


def _readable(name: str) -> str:
    return _NAMES.get(name, name.replace("_", " ").replace(".", ", "))


def _in_words(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return "; ".join(map(_in_words, value)) or "none"
    if isinstance(value, dict):
        rest = [f"{_readable(name)} {_in_words(each)}" for name, each in value.items() if name != "kind"]
        return ", ".join([*filter(None, [value.get("kind")]), *rest])
    return wording.MISSING if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _frozen(experiment: Experiment, index: int) -> str:
    freeze = experiment.phases[index].freeze
    match freeze.rule:
        case "nothing":
            return "nothing"
        case "all_but_block":
            return f"all but the block {freeze.block}"
        case "all_but_last_layers":
            return f"all but the last {wording.count(freeze.count, 'layer')}"
    return f"the first {wording.count(freeze.count, freeze.rule.removeprefix('first_').removesuffix('s'))}"


def _head(experiment: Experiment, index: int) -> str:
    head = experiment.phases[index].head
    if head is None:
        return "kept" if index else "the backbone's"
    side = "data set" if head.outputs == "data set" else "phase"
    layers = [layer.name or layer.kind for layer in head.layers]
    anew = f"; blocks from {head.anew_from} on start anew" if head.anew_from else ""
    return f"new from {head.from_layer} on: {', '.join([*layers, f'one output per class of the {side}'])}{anew}"


def table(runs: Sequence[Measured], baseline: str | None = None) -> pd.DataFrame:
    """Return what came out, a row per run (index: run id), as numbers.

    Columns: run, state, seed; accuracy, low, high, n (the test images; NaN before they are measured); difference
    (to the baseline, a share); trainable, total (parameters of the last phase); last_seconds (training of the last
    phase, validation included), seconds (the whole ledger), speed_ratio (the baseline's last_seconds over this
    run's: 2 is twice as fast); images (training images seen, all phases); flags (list of sentences, see `flags`).
    A difference or ratio that would not be fair is NaN, and a flag says why.
    """
    names = titles([run for run, _ in runs])
    base = next((pair for pair in runs if pair[0].id == baseline), None)
    rows = []
    for run, histories in runs:
        test, network = run.metrics.get("test", {}), run.experiment.networks[-1]
        seconds = last_seconds(run, histories)
        row = {
            "id": run.id,
            "run": names[run.id],
            "state": str(run.state),
            "seed": run.seed,
            "accuracy": test.get("accuracy"),
            "low": test.get("accuracy_low"),
            "high": test.get("accuracy_high"),
            "n": test.get("n"),
            "difference": None,
            "trainable": network.trainable,
            "total": network.total,
            "last_seconds": seconds,
            "seconds": sum(run.seconds.values()) if run.seconds else None,
            "speed_ratio": None,
            "images": images_seen(histories),
            "flags": flags(run, histories, base[0] if base else None),
        }
        if base is not None:
            reference, reference_test = last_seconds(*base), base[0].metrics.get("test", {})
            if test and reference_test and same_test_images(run, base[0]):
                row["difference"] = test["accuracy"] - reference_test["accuracy"]
            if seconds and reference and same_hardware(run, base[0]):
                row["speed_ratio"] = reference / seconds
        rows.append(row)
    found = pd.DataFrame(rows).set_index("id") if rows else pd.DataFrame()
    measured = ["accuracy", "low", "high", "n", "difference", "last_seconds", "seconds", "speed_ratio"]
    return found.astype(dict.fromkeys(measured, float)) if rows else found


def shown(found: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of `table` as a reader sees them: text with units, same decimals in a column."""
    rows = []
    for row in found.to_dict("records"):
        accuracy = f"not measured ({row['state']})"
        if row["accuracy"] == row["accuracy"]:
            accuracy = wording.interval(row["accuracy"], row["low"], row["high"], int(row["n"]))
        rows.append(
            {
                "run": row["run"],
                "seed": str(row["seed"]),
                "test accuracy": accuracy,
                "against the baseline": wording.points(row["difference"]),
                "trainable parameters": f"{row['trainable']:,} of {row['total']:,}",
                "training, last phase": wording.duration(row["last_seconds"]),
                "altogether": wording.duration(row["seconds"]),
                "speed": wording.ratio(row["speed_ratio"]),
                "images seen": wording.number(row["images"]),
                "note": "; ".join(row["flags"]),
            }
        )
    return pd.DataFrame(rows, index=found.index)


def every_run(runs: Sequence[Measured], baseline: str | None = None) -> pd.DataFrame:
    """Return `table` as other programs read it: with the ids as a column, and the flags of a run as one text."""
    found = table(runs, baseline)
    return found.assign(flags=found["flags"].map("; ".join)).reset_index() if runs else found


def every_epoch(runs: Sequence[Measured]) -> pd.DataFrame:
    """Return all epochs of all runs: id, run, seed, and the columns of `history.epochs`."""
    names = titles([run for run, _ in runs])
    rows = [(run.id, names[run.id], run.seed, *row) for run, histories in runs for row in epoch_rows(histories)]
    return pd.DataFrame(rows, columns=["id", "run", "seed", *EpochRow._fields])


def cells(matrices: Mapping[str, pd.DataFrame], values: str = "counts") -> pd.DataFrame:
    """Return confusion matrices (see `metrics.confusion`) beside each other: a row per cell, a column per run title.

    The first two columns are the true and the predicted class. Cells are counts, or percent as `metrics.shares` says;
    those of classes that a run does not know are NaN. Of more classes than are drawn, cells with images in any run.
    """
    shown = {
        title: counts if values == "counts" else 100 * shares(counts, values) for title, counts in matrices.items()
    }
    if max(map(len, shown.values()), default=0) <= MOST_CLASSES:
        return pd.DataFrame({title: own.stack() for title, own in shown.items()}).reset_index()
    rows = [occurring(counts, "images") for counts in matrices.values()]
    pairs = pd.concat(rows)[["true", "predicted"]].drop_duplicates(ignore_index=True)
    return pairs.assign(**{title: _at(own, pairs) for title, own in shown.items()})


def _at(matrix: pd.DataFrame, pairs: pd.DataFrame) -> NDArray[np.float64]:
    """The cells of a matrix at pairs of classes, NaN where it does not know one of them."""
    rows, columns = (
        names.get_indexer(pd.Index(pairs[side]))
        for side, names in (("true", matrix.index), ("predicted", matrix.columns))
    )
    return np.where((rows < 0) | (columns < 0), np.nan, matrix.to_numpy()[rows, columns])


def cell_in_words(counts: Mapping[str, int], true: str, predicted: str) -> str:
    """Return how many images each run (by its short name) has in one cell of its confusion matrix."""
    if not any(counts.values()):
        return f"No run takes an image of {true} for {predicted}."
    own = ", ".join(f"{name} {number:,}" for name, number in counts.items())
    return f"Images of {true}, predicted as {predicted} by at least one run ({own}); the most disputed first."


def ledger(ledgers: Mapping[str, Mapping[str, float]]) -> pd.DataFrame:
    """Return where the seconds of runs went, in words: a row per part of a run and one for the whole, a column per run.

    `ledgers` are seconds by entry, by run title.
    """
    parts = ledger_table(ledgers)
    order = ledger_table({"": {entry: 0.0 for own in ledgers.values() for entry in own}})["title"]
    wide = parts.pivot(index="title", columns="run", values="seconds").reindex(index=order, columns=list(ledgers))
    wide.loc["altogether"] = wide.sum()
    return wide.map(wording.duration).rename_axis(index="part of the run", columns=None).reset_index()


def last_seconds(run: Run, histories: Sequence[PhaseHistory]) -> float | None:
    """Return the training seconds of the last phase, or None before it has all its epochs."""
    last = next((history for history in histories if history.index == len(run.experiment.phases) - 1), None)
    if last is None or not last.is_complete(run.experiment.phases[-1].epochs):
        return None
    return training_seconds(last)


def flags(run: Run, histories: Sequence[PhaseHistory], baseline: Run | None) -> list[str]:
    """Return what limits a run's numbers: its labels, and why they cannot be set against the baseline's."""
    found = labels(run) + seconds_labels(histories)
    if baseline is None or baseline.id == run.id:
        return found
    if not same_test_images(run, baseline):
        found.append("other test images than the baseline: the accuracies are not comparable")
    if not same_hardware(run, baseline):
        found.append("other hardware than the baseline: the seconds are not comparable")
    return found


def same_test_images(run: Run, other: Run) -> bool:
    """Return whether two runs' final models were tested on the same images of the same classes."""
    return _tested_on(run) == _tested_on(other)


def same_hardware(run: Run, other: Run) -> bool:
    """Return whether two runs name the same hardware; seconds are compared only then."""
    return bool(run.environment.get("hardware") == other.environment.get("hardware"))


def one_machine(runs: Iterable[Run]) -> str | None:
    """Return what runs were computed on, in a sentence, where that is one machine. Runs not begun are left out."""
    machines = _machines(runs)
    return f"Computed on {machines[0]}." if len(machines) == 1 else None


def other_machines(runs: Iterable[Run]) -> str | None:
    """Return a warning where runs were computed on different machines, for wherever their seconds stand side by side.

    Runs that have not begun are left out.
    """
    machines = _machines(runs)
    if len(machines) < 2:
        return None
    return f"These runs were computed on different machines ({'; '.join(machines)}): their seconds do not compare."


def _machines(runs: Iterable[Run]) -> list[str]:
    return list(dict.fromkeys(run.environment["hardware"] for run in runs if run.environment.get("hardware")))


def _tested_on(run: Run) -> tuple[Any, ...]:
    experiment = run.experiment
    classes = frozenset(experiment.classes_of(experiment.phases[-1]))
    return (experiment.data.name, run.environment.get("fingerprint"), experiment.data.per_class, classes)
