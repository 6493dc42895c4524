"""A run or a comparison as one HTML file: it needs no network and no script, prints well, and reads without figures.

Curves are drawn as SVG; a confusion matrix is a table whose cells are shaded.
"""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import pandas as pd

from cifar_core.analysis import colours, wording
from cifar_core.analysis import groups as seeds
from cifar_core.analysis.answers import three_answers
from cifar_core.analysis.comparison import (
    ledger,
    one_machine,
    other_machines,
    other_paths,
    settings,
    settings_that_differ,
    shown,
    table,
)
from cifar_core.analysis.curves import Measure, boundaries, guessing, lines
from cifar_core.analysis.figures import MOST_CLASSES, change_sentence, ledger_table
from cifar_core.analysis.groups import Group
from cifar_core.analysis.history import epochs
from cifar_core.analysis.labels import labels, titles
from cifar_core.analysis.metrics import METRICS, confusion, measure, per_class, shares
from cifar_core.analysis.pareto import COSTS, Cost, cheapest_first, front, in_words, pareto, pareto_table
from cifar_core.analysis.predictions import Predictions
from cifar_core.analysis.samples import most_confused
from cifar_core.analysis.verdict import verdict
from cifar_core.experiment.measured import Measured, Run
from cifar_core.experiment.wording import how_it_trains, initial_weights, network_input, trained_share

_STYLE = """
:root { color-scheme: light }
body { font: 16px/1.5 system-ui, sans-serif; color: #0d1218; background: #fff; max-width: 62rem; margin: 2rem auto;
  padding: 0 1rem }
h1 { font-size: 1.6rem; line-height: 1.25 } h2 { font-size: 1.25rem; margin-top: 2rem; break-after: avoid }
h3 { font-size: 1rem; break-after: avoid }
.scroll { overflow-x: auto }
table { border-collapse: collapse; font-size: 0.875rem; font-variant-numeric: tabular-nums; margin: 0.5rem 0 }
th, td { padding: 0.25rem 0.6rem; border-bottom: 1px solid #cfd8e1; text-align: left; vertical-align: top }
td.number, th.number { text-align: right } td.number { white-space: nowrap }
caption { text-align: left; color: #4d5a68; padding: 0.25rem 0 }
blockquote { white-space: pre-line }
.flags { color: #8a3700; font-weight: 600 } .faint { color: #4d5a68 }
svg { width: 100%; height: auto; max-width: 62rem } figure { margin: 0.5rem 0; break-inside: avoid }
.matrix td { text-align: right; border: 1px solid #fff; print-color-adjust: exact; -webkit-print-color-adjust: exact }
.legend { list-style: none; padding: 0; margin: 0.25rem 0; font-size: 0.875rem }
.legend svg { width: 2rem; margin-right: 0.5rem; vertical-align: middle }
@media print { body { margin: 0; max-width: none; font-size: 12px } tr { break-inside: avoid } }
"""
_PAPER, _INK = "#F4F8FB", "#08306B"


def report(
    runs: Sequence[Measured],
    predictions: Mapping[str, Predictions] | None = None,
    baseline: str | None = None,
    groups: Mapping[str, Group] | None = None,
) -> str:
    """Return the report of one run, or of several against the `baseline` (an id; the first without one).

    `predictions` are those of the test images, by run id; `groups` are the runs' with all their seeds, by run id (see
    `groups.of_all_seeds`), which are no more than these runs where none are given.
    """
    predictions = predictions or {}
    only = [run for run, _ in runs]
    if groups is None:
        groups = seeds.of_all_seeds(only, only)
    parts = (
        _single(runs[0], predictions)
        if len(runs) == 1
        else _compared(runs, predictions, baseline or only[0].id, groups)
    )
    title = runs[0][0].name if len(runs) == 1 else f"Comparison of {len(runs)} runs"
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)} · Transfer Lab</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n"
        f"<h1>{escape(title)}</h1>\n" + "\n".join(parts) + "\n</main>\n</body>\n</html>\n"
    )


def _single(measured: Measured, predictions: Mapping[str, Predictions]) -> list[str]:
    run, histories = measured
    parts = [_about(run)]
    if test := run.metrics.get("test"):
        words = wording.interval(test["accuracy"], test["accuracy_low"], test["accuracy_high"], int(test["n"]))
        parts.append(_text(f"{words} of the test images given their right class.", strong=True))
    parts += ["<h2>Curves</h2>", _curves([measured])]
    if found := predictions.get(run.id):
        parts += ["<h2>Test images</h2>", _matrix(found, "Confusion matrix of the test images"), _classes(found)]
        parts.append(_metrics(measure(found, run.metrics.get("test"))))
    if proven := [phase for phase in histories if phase.changes]:
        said = [f"{phase.name}: {change_sentence(phase.changes)}" for phase in proven]
        parts += ["<h2>Proof of freezing</h2>", _list(said)]
    parts += ["<h2>Epochs</h2>", _epochs(measured)]
    if run.seconds:
        seconds = ledger_table({run.name: run.seconds})
        shares = seconds["share"].map(wording.percent)
        took = seconds["seconds"].map(wording.duration)
        ledger = pd.DataFrame({"part of the run": seconds["title"], "took": took, "share": shares})
        parts += ["<h2>Where the seconds went</h2>", _table(ledger)]
    return [*parts, "<h2>Settings</h2>", _phases(run), _shared_settings(run)]


def _compared(
    runs: Sequence[Measured], predictions: Mapping[str, Predictions], base: str, groups: Mapping[str, Group]
) -> list[str]:
    only = [run for run, _ in runs]
    names = titles(only)
    parts = [*_verdict(groups, groups[base].title if base in groups else names[base], predictions)]
    parts += ["<h2>Run by run</h2>", _table(shown(table(runs, base))), *_answers(runs, groups, predictions)]
    differing = settings_that_differ(only)
    parts.append("<h2>What differs</h2>")
    if differing.empty:
        parts.append(_text("Nothing differs but chance: equal settings and seeds."))
    else:
        parts.append(_table(differing.reset_index(), text=tuple(differing.columns)))
    if apart := other_paths(runs):
        parts.append(_text(apart))
    parts += ["<h2>Curves</h2>", _curves(runs, base), *_costs(runs, base)]
    if drawn := [_matrix(predictions[run.id], names[run.id]) for run in only if run.id in predictions]:
        parts += ["<h2>Confusion matrices of the test images</h2>", *drawn]
    if ledgers := {names[run.id]: run.seconds for run in only if run.seconds}:
        parts += ["<h2>Where the seconds went</h2>", _table(ledger(ledgers)), *_machines(only)]
    parts.append("<h2>The runs</h2>")
    for run, histories in runs:
        parts += [f"<h3>{escape(names[run.id])}</h3>", _about(run), _phases(run), _epochs((run, histories))]
    return parts


def _verdict(groups: Mapping[str, Group], baseline: str, predictions: Mapping[str, Predictions]) -> list[str]:
    """What the groups say about the baseline's (a title), by seeds and by images."""
    compared = seeds.each_once(groups)
    first, _, limits = verdict(compared, baseline, predictions).partition("\n")
    parts = [_text(first, strong=True), _text(limits)]
    if any(len(group.runs) > 1 for group in compared):
        rows = seeds.shown(seeds.table(compared, baseline)).drop(columns="training")
        caption = "Groups of runs that differ only in their seed: all that are done, archived ones if chosen"
        parts.append(_table(rows, text=("worth",), caption=caption))
    for title, sentences in seeds.each_against(compared, baseline, predictions).items():
        parts += [f"<h3>{escape(title)}</h3>", _list(sentences)]
    return parts


def _answers(
    runs: Sequence[Measured], groups: Mapping[str, Group], predictions: Mapping[str, Predictions]
) -> list[str]:
    parts = ["<h2>Three questions</h2>"]
    for answer in three_answers(runs, groups, lambda _: predictions):
        parts += [f"<h3>{escape(answer.question)}</h3>", _list(answer.sentences)]
    return parts


def _costs(runs: Sequence[Measured], base: str) -> list[str]:
    """Accuracy against each of its costs, the cheapest first, and which runs are on the front."""
    found = pareto(runs, base)
    if len(found) < 2:
        return []
    told = "On the front (diamonds): no other run here is as accurate for less, or more accurate for no more."
    parts = ["<h2>Accuracy against what it costs</h2>", _text(told)]
    for cost, title in COSTS.items():
        apart = other_machines(run for run, _ in runs if run.id in found.index) if cost == "seconds" else None
        parts += [
            _text(apart or ""),
            f"<figure>{pareto_svg(found, cost)}</figure>",
            _table(pareto_table(found, cost).rename(columns={"no.": ""}), text=("run",), caption=title.capitalize()),
        ]
    return parts


def _machines(runs: Sequence[Run]) -> list[str]:
    return [_text(said) for said in (one_machine(runs), other_machines(runs)) if said]


def _about(run: Run) -> str:
    environment = run.environment
    versions = ", ".join(f"{name} {version}" for name, version in environment.get("versions", {}).items())
    said = [
        f"Run {run.id}, seed {run.seed}, {run.created:%Y-%m-%d %H:%M} UTC; {wording.status(run)}.",
        " · ".join(filter(None, [environment.get("provenance", ""), environment.get("hardware", ""), versions])),
    ]
    flags = f'<p class="flags">{escape("; ".join(labels(run)))}</p>' if labels(run) else ""
    note = f"<blockquote>{escape(run.note)}</blockquote>" if run.note else ""
    return flags + "".join(f'<p class="faint">{escape(each)}</p>' for each in said if each) + note


def _phases(run: Run) -> str:
    experiment = run.experiment
    said = [f"{initial_weights(experiment)} {network_input(experiment)}"]
    said += [
        f"Phase {index + 1}, {phase.name}, on {phase.train_on} classes: {how_it_trains(phase)}. "
        f"{trained_share(experiment, index)}"
        for index, phase in enumerate(experiment.phases)
    ]
    return _list(said)


def _shared_settings(run: Run) -> str:
    """What holds for all phases, without what was left at nothing."""
    found = {
        name: value
        for name, value in settings(run).items()
        if not name.startswith("phase ") and value not in (wording.MISSING, "[]")
    }
    return _table(pd.DataFrame(found.items(), columns=["setting", "value"]), text=("value",))


def _text(words: str, *, strong: bool = False) -> str:
    inner = f"<strong>{escape(words)}</strong>" if strong else escape(words)
    return f"<p>{inner}</p>" if words else ""


def _list(sentences: Sequence[str]) -> str:
    return "<ul>" + "".join(f"<li>{escape(each)}</li>" for each in sentences) + "</ul>"


def _table(frame: pd.DataFrame, *, text: Sequence[str] = (), caption: str = "") -> str:
    """A table whose first column names the rows; other columns are numbers, unless named in `text`."""
    left = {str(frame.columns[0]), *text, "run", "note", "test accuracy"}

    def cell(tag: str, column: Any, value: object, scope: str = "") -> str:
        number = "" if str(column) in left else ' class="number"'
        return f"<{tag}{scope}{number}>{escape(str(value))}</{tag}>"

    head = "".join(cell("th", column, column, ' scope="col"') for column in frame.columns)
    rows = "".join(
        "<tr>" + "".join(cell("td", column, value) for column, value in zip(frame.columns, row, strict=True)) + "</tr>"
        for row in frame.itertuples(index=False, name=None)
    )
    named = f"<caption>{escape(caption)}</caption>" if caption else ""
    return f'<div class="scroll"><table>{named}<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'


def _metrics(found: Mapping[str, float]) -> str:
    rows = [(row.title, row.show(found[row.name]), row.meaning) for row in METRICS]
    return _table(pd.DataFrame(rows, columns=["metric", "value", "meaning"]), text=("meaning",), caption="Metrics")


def _classes(found: Predictions) -> str:
    rows = per_class(found)
    for column in ("precision", "recall", "f1"):
        rows[column] = rows[column].map(wording.percent)
    return _table(rows, caption="Classes")


def _epochs(measured: Measured) -> str:
    rows = epochs(measured[1])
    said = pd.DataFrame({"phase": rows["phase_name"], "epoch": rows["phase_epoch"].map(str)})
    for column, title in (("accuracy", "accuracy"), ("val_accuracy", "validation accuracy")):
        said[title] = rows[column].map(wording.percent)
    for column, title in (("loss", "loss"), ("val_loss", "validation loss")):
        said[title] = rows[column].map(wording.loss)
    said["time"] = rows["seconds"].map(wording.duration)
    return _table(said)


def _matrix(found: Predictions, caption: str) -> str:
    counts = confusion(found)
    names = most_confused([counts], MOST_CLASSES)
    part = f"; {len(names)} of {len(counts):,} classes, where most is confused" if len(names) < len(counts) else ""
    counts, of_row = counts.loc[names, names], shares(counts).loc[names, names]
    head = "".join(f'<th scope="col" class="number">{escape(str(name))}</th>' for name in counts.columns)
    rows = []
    for name, numbers, parts in zip(counts.index, counts.to_numpy(), of_row.to_numpy(), strict=True):
        cells = "".join(_shaded(int(number), float(share)) for number, share in zip(numbers, parts, strict=True))
        rows.append(f'<tr><th scope="row">{escape(str(name))}</th>{cells}</tr>')
    return (
        f'<figure class="scroll"><table class="matrix"><caption>{escape(caption)}: a row is a true class, a column '
        f"what it was taken for, n = {found.n:,}; darker is a larger share of the row{part}</caption>"
        f"<thead><tr><td></td>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></figure>"
    )


def _shaded(number: int, share: float) -> str:
    background = colours.mixed(_PAPER, _INK, share)
    return f'<td style="background:{background};color:{colours.readable_on(background)}">{number:,}</td>'


def _curves(runs: Sequence[Measured], baseline: str | None = None) -> str:
    names = titles([run for run, _ in runs])
    baseline = baseline if len(runs) > 1 else None
    hues, shapes = colours.run_colours(list(names), baseline), colours.run_shapes(list(names), baseline)
    looks = {title: (hues[run], shapes[run]) for run, title in names.items()}
    drawn = "".join(
        f"<figure><figcaption>{title}</figcaption>{curve_svg(runs, which, looks)}</figure>"
        for which, title in _MEASURES.items()
    )
    told = "Training solid, validation dashed; the same numbers stand in the table of epochs."
    return drawn + (_legend(looks) if len(runs) > 1 else "") + f'<p class="faint">{told}</p>'


def _legend(looks: Mapping[str, tuple[str, str]]) -> str:
    rows = (
        f'<li><svg viewBox="0 0 32 14" aria-hidden="true">{_line(1, 7, 31, 7, hue, width=2.5)}'
        f"{_mark(16, 7, hue, shape)}</svg>{escape(title)}</li>"
        for title, (hue, shape) in looks.items()
    )
    return f'<ul class="legend">{"".join(rows)}</ul>'


_MEASURES: dict[Measure, str] = {"accuracy": "Accuracy by epoch", "loss": "Loss by epoch"}
_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _TOP, _RIGHT = 900, 300, 56, 36, 20, 12


# Of points, in pixels around them, by the names of `colours.SHAPES`.
_OUTLINES = {
    "circle": "m-3.5,0a3.5,3.5 0 1 0 7,0a3.5,3.5 0 1 0 -7,0z",
    "square": "m-3.2,-3.2h6.4v6.4h-6.4z",
    "triangle-up": "m0,-4.5l4.5,8h-9z",
    "diamond": "m0,-5l4.5,5l-4.5,5l-4.5,-5z",
    "triangle-down": "m0,4.5l4.5,-8h-9z",
    "triangle-right": "m4.5,0l-8,4.5v-9z",
    "triangle-left": "m-4.5,0l8,4.5v-9z",
    "cross": "m-1.5,-4.5h3v3h3v3h-3v3h-3v-3h-3v-3h3z",
}


def curve_svg(runs: Sequence[Measured], which: Measure, looks: Mapping[str, tuple[str, str]]) -> str:
    """Return the runs' curves over epochs as an SVG element; `looks` are colour and shape of points by run title."""
    rows = lines(runs, which)
    guess = guessing(runs, which)
    last = float(max([1.0, *rows["x"]]))
    highest = 1.0 if which == "accuracy" else 1.05 * float(max([0.1, *rows["y"], *guess["y"]]))

    def x(value: float) -> float:
        return round(_LEFT + (_WIDTH - _LEFT - _RIGHT) * value / last, 1)

    def y(value: float) -> float:
        return round(_HEIGHT - _BOTTOM - (_HEIGHT - _BOTTOM - _TOP) * value / highest, 1)

    parts = []
    for step in range(6):
        value = highest * step / 5
        label = wording.percent(value, 0) if which == "accuracy" else wording.number(value, 2)
        parts.append(_line(_LEFT, y(value), _WIDTH - _RIGHT, y(value), "#d9dde3"))
        parts.append(_label(_LEFT - 6, y(value) + 4, label, "end"))
    every = max(1, round(last / 8))
    for epoch in range(0, int(last) + 1, every):
        parts.append(_label(x(epoch), _HEIGHT - _BOTTOM + 16, str(epoch), "middle"))
    parts.append(_label((_LEFT + _WIDTH) / 2, _HEIGHT - 4, "epoch", "middle"))
    for row in boundaries(runs).to_dict("records"):
        at = x(row["x"])
        parts.append(_line(at, _TOP, at, _HEIGHT - _BOTTOM, "#6B6E7B"))
        parts.append(_label(at + 4, _TOP - 6, row["label"], "start"))
    for row in guess.to_dict("records"):
        level = y(row["y"])
        parts.append(_line(_LEFT, level, _WIDTH - _RIGHT, level, "#6B6E7B", dash="2 4"))
        parts.append(_label(_WIDTH - _RIGHT, level + 14, row["label"], "end"))
    for (run, role, _), line in rows.groupby(["run", "role", "phase"], sort=False):
        places = " ".join(f"{x(a)},{y(b)}" for a, b in zip(line["x"], line["y"], strict=True))
        dash = ' stroke-dasharray="7 4"' if role == "validation" else ""
        hue, shape = looks[str(run)]
        parts.append(f'<polyline points="{places}" fill="none" stroke="{hue}" stroke-width="2.5"{dash}/>')
        parts += [_mark(x(a), y(b), hue, shape) for a, b in zip(line["x"], line["y"], strict=True)]
    return _svg(f"{_MEASURES[which]} of each run; the same numbers stand in the table of epochs", parts)


def pareto_svg(found: pd.DataFrame, cost: Cost) -> str:
    """Return runs by accuracy and a cost (see `pareto.pareto`) as an SVG element, with the front as a stair.

    Runs carry their numbers of `pareto_table`; bars are the 95 % intervals.
    """
    rows = cheapest_first(found, cost).assign(front=front(found, cost))
    most = 1.05 * max(1e-9, float(rows[cost].max()))

    def x(value: float) -> float:
        return round(_LEFT + (_WIDTH - _LEFT - _RIGHT) * value / most, 1)

    def y(share: float) -> float:
        return round(_HEIGHT - _BOTTOM - (_HEIGHT - _BOTTOM - _TOP) * share, 1)

    parts = []
    for step, anchor in enumerate(("start", "middle", "middle", "middle", "middle", "end")):
        level, value = y(step / 5), most * step / 5
        parts.append(_line(_LEFT, level, _WIDTH - _RIGHT, level, "#d9dde3"))
        parts.append(_label(_LEFT - 6, level + 4, wording.percent(step / 5, 0), "end"))
        parts.append(_label(x(value), _HEIGHT - _BOTTOM + 16, in_words(cost, value), anchor))
    parts.append(_label((_LEFT + _WIDTH) / 2, _HEIGHT - 4, COSTS[cost], "middle"))
    best = rows[rows["front"]]
    stair = [f"M{x(best[cost].iloc[0])},{y(best['accuracy'].iloc[0])}"]
    stair += [f"H{x(row[cost])}V{y(row['accuracy'])}" for row in best.to_dict("records")]
    parts.append(f'<path d="{"".join(stair)}" fill="none" stroke="#6B6E7B" stroke-dasharray="2 4"/>')
    for number, row in enumerate(rows.to_dict("records"), 1):
        at, level = x(row[cost]), y(row["accuracy"])
        parts.append(_line(at, y(row["low"]), at, y(row["high"]), "#6B6E7B"))
        shape = (
            f"M{at},{level - 7}l7,7l-7,7l-7,-7z"
            if row["front"]
            else f"M{at - 5},{level}a5,5 0 1 0 10,0a5,5 0 1 0 -10,0"
        )
        parts.append(f'<path d="{shape}" fill="{_INK}"/>')
        parts.append(_label(at + 10, level + 4, str(number), "start"))
    return _svg(f"Test accuracy against {COSTS[cost]}; the same numbers stand in the table below", parts)


def _svg(name: str, parts: Sequence[str]) -> str:
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{name}" font-size="13" '
        f'font-family="system-ui, sans-serif">{"".join(parts)}</svg>'
    )


def _line(x1: float, y1: float, x2: float, y2: float, colour: str, dash: str = "", width: float = 1) -> str:
    dashed = f' stroke-dasharray="{dash}"' if dash else ""
    thick = f' stroke-width="{width}"' if width != 1 else ""
    return f'<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}" stroke="{colour}"{dashed}{thick}/>'


def _mark(x: float, y: float, colour: str, shape: str) -> str:
    return f'<path d="M{x},{y}{_OUTLINES[shape]}" fill="{colour}"/>'


def _label(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}" fill="#31333F">{escape(text)}</text>'
