"""Two to eight runs side by side: the verdict first, the evidence under it."""

from collections.abc import Iterable, Sequence
from typing import Any

import plotly.graph_objects as go
import streamlit as st

from cifar_core.analysis import bands
from cifar_core.analysis.answers import three_answers
from cifar_core.analysis.comparison import (
    cell_in_words,
    cells,
    every_epoch,
    last_seconds,
    ledger,
    one_machine,
    other_machines,
    other_paths,
    settings_that_differ,
    shown,
    table,
)
from cifar_core.analysis.curves import Measure, X
from cifar_core.analysis.figures import CELLS, accuracy_figure, confusion_figures, difference_figure, ledger_figure
from cifar_core.analysis.groups import each_once, of_all_seeds, places
from cifar_core.analysis.labels import others_features, titles
from cifar_core.analysis.linked import by_experiment
from cifar_core.analysis.metrics import confusion
from cifar_core.analysis.predictions import Predictions
from cifar_core.analysis.results import matrix_table
from cifar_core.analysis.samples import (
    GROUPS,
    Rows,
    agreement,
    agreement_counts,
    cell_of_any,
    difference,
    groups_in_words,
    what_each_says,
)
from cifar_core.analysis.wording import count
from cifar_core.experiment import links
from cifar_core.experiment.measured import Run
from cifar_core.ui import people, reads
from cifar_core.ui.curves import curves
from cifar_core.ui.export import comparison, draw
from cifar_core.ui.gallery import cell_boxes, images_of, paged
from cifar_core.ui.glossary import help_for
from cifar_core.ui.page import is_dark, section, set_up, unfolded
from cifar_core.ui.pareto import show_pareto
from cifar_core.ui.run_header import LISTED, linked_runs
from cifar_core.ui.seeds import predictions_of, show_groups, show_verdict
from cifar_core.ui.speedups import show_speedups, that_froze
from cifar_core.ui.text import plain

set_up("Compare")
MOST = 8
OVER: dict[X, str] = {"epoch": "epochs", "seconds": "seconds", "images": "images"}

store, state, address = reads.store(), st.session_state, st.query_params
# The fields of the address by which it says what is compared.
NAMED = "comparison", "runs", "baseline"
# The choices on this page that a comparison under a name keeps, beside runs and baseline.
VIEW = (
    *("compare.x", "compare.means", "pareto.cost", "compare.cells", "pair.other", "pair.group"),
    *("cell.true", "cell.predicted"),
    *("fold.against", "fold.means", "fold.epochs", "fold.pareto", "fold.matrices", "fold.pair", "fold.difference"),
    *("fold.ledgers", "fold.speedup"),
    *("page.cell", *(f"page.pair.{group}" for group in GROUPS)),
)


def warn_of_seconds(of: Iterable[Run]) -> None:
    """Say it where seconds of different machines stand side by side."""
    if warning := other_machines(of):
        st.warning(plain(warning), icon=":material/flag:")


def choose(label: str, options: Sequence[str], key: str, **more: Any) -> Any:
    """Choose one of several, as the address says."""
    return st.segmented_control(label, options, required=True, key=key, bind="query-params", **more)


def open_link() -> None:
    """Take over what the address says, or what was shown last, where the page did not write that itself."""
    asked = {field: address[field] for field in NAMED if field in address}
    written = state.get("compare.address", {})
    if (not asked or asked == written) and "compare.runs" in state:
        return
    meant = asked or written
    comparison = comparisons.get(meant.get("comparison", ""))
    if comparison is None and "comparison" in asked:
        gone = f'There is no comparison "{asked["comparison"]}"; it may have been deleted.'
        st.error(plain(gone), icon=":material/link_off:")
    runs = comparison.runs if comparison else linked_runs(known) if asked else meant.get("runs", "").split(",")
    state["compare.runs"] = [run for run in runs if run in known][:MOST]
    state["compare.baseline"] = comparison.baseline if comparison else meant.get("baseline", "")
    state["compare.kept"] = comparison.id if comparison else ""
    if comparison:
        state.update({key: value for key, value in comparison.view.items() if key in VIEW and key not in address})


def name_address(runs: list[str], baseline: str) -> None:
    """Let the address name what is compared: by its name as long as it is what was kept under it."""
    comparison = comparisons.get(state.get("compare.kept", ""))
    if comparison and (runs, baseline) == ([run for run in comparison.runs if run in known], comparison.baseline):
        fields = {"comparison": comparison.id}
    else:
        fields = {"runs": ",".join(runs), "baseline": baseline}
    for field in NAMED:
        if field in fields:
            address[field] = fields[field]  # even where it says so: a link from this page does not show there
        elif field in address:
            del address[field]
    state["compare.address"] = fields


def lead_to_kept() -> None:
    """Lead to the comparisons that have a name."""
    if not comparisons:
        return
    with st.popover("Kept comparisons", icon=":material/bookmarks:", key="kept"):
        here = {run.id for run in reads.runs(archived=True)}
        for each in comparisons.values():
            st.page_link("pages/4_Compare.py", label=f"**{plain(each.name)}**", query_params={"comparison": each.id})
            if each.note:
                st.caption(plain(each.note))
            lead_to_lecture([run for run in each.runs if run in here], f"{plain(each.name)} in a lecture")


def lead_to_lecture(runs: Sequence[str], label: str) -> None:
    """Lead to a new lecture in which runs compete, on its presenter's side."""
    if len(runs) > 1:
        presenter, _ = links.lecture_links({"runs": [",".join(runs)]})
        st.page_link("pages/10_Lecture.py", label=label, icon=":material/co_present:", query_params=presenter)


def keep_this(runs: list[str], baseline: str) -> None:
    """Give this comparison a name and a note, or others; or forget it."""
    opened = comparisons.get(state.get("compare.kept", ""))
    key, barred = f"keep.{opened.id}" if opened else "keep", people.why_not()
    with (
        st.popover(
            "Name and note" if opened else "Keep under a name",
            key=f"{key}.popover",
            icon=":material/bookmark_add:",
            disabled=bool(barred),
            help=barred,
        ),
        st.form(key, border=False),
    ):
        name = st.text_input("Name", opened.name if opened else "", key=f"{key}.name", max_chars=200, required=True)
        note = st.text_area("Note", opened.note if opened else "", key=f"{key}.note", max_chars=5000)
        st.caption("Runs, baseline and how they are shown are kept; the link stays the same.")
        with st.container(horizontal=True):
            instead = opened and st.form_submit_button("Keep the changes", type="primary")
            anew = st.form_submit_button("Keep as a new one" if opened else "Keep", type="secondary")
            forget = opened and st.form_submit_button("Forget it", icon=":material/delete:")
    if forget and opened:
        store.delete_comparison(opened.id)
    elif (instead or anew) and name.strip():
        view = {key: state[key] for key in VIEW if key in state}
        state["compare.kept"] = store.keep_comparison(
            name.strip(), runs, baseline, note=note, view=view, instead_of=opened.id if opened and instead else None
        )
    else:
        return
    st.rerun()


def say_kept() -> None:
    """Show the name and the note of the comparison that is open, and what of it is gone."""
    opened = comparisons.get(state.get("compare.kept", ""))
    if opened is None:
        return
    changed = "" if "comparison" in address else " · changed since"
    st.markdown(f"**{plain(opened.name)}**{changed}")
    if opened.note:
        st.markdown("\n".join(f"> {plain(line)}  " for line in opened.note.splitlines()))
    if gone := sum(run not in known for run in opened.runs):
        st.caption(f"{count(gone, 'run')} of this comparison {'was' if gone == 1 else 'were'} deleted.")


def show_difference(other: str) -> None:
    """The confusion matrix of another run minus the baseline's; a click on a cell chooses its images."""
    found = difference(predictions[baseline], predictions[other])
    if found is None:
        st.info("These runs tell other classes apart: their matrices have no difference.", icon=":material/difference:")
        return
    pair = f"{names[other]} minus {names[baseline]}"
    draw_cells(
        difference_figure(found, names[baseline], names[other], dark=is_dark()),
        f"difference {names[other]}",
        key="difference",
        alt=f"Difference of confusion matrices, {pair}; the same numbers stand in the table below",
    )
    fold = "The difference as a table, points of the true class"
    if table := unfolded(fold, key="fold.difference", in_link=True):
        rows = matrix_table((100 * found).round(1), "points")
        table.dataframe(rows, alt="Difference of true (rows) and predicted (columns) classes")


def draw_cells(figure: go.Figure, name: str, *, key: str, alt: str) -> None:
    """Draw a matrix of which a click chooses a cell."""
    draw(figure, name, key=key, alt=alt, on_select=lambda: choose_cell(key), selection_mode="points")


def choose_cell(key: str) -> None:
    """Take over the cell that was clicked on; a second click takes the choice back."""
    points = state[key].selection.points
    state["cell.true"], state["cell.predicted"] = points[0]["customdata"][:2] if points else (None, None)


def show_cell(classes: Sequence[str]) -> None:
    """The images that any of the runs has in one cell of its matrix, chosen by click or by name."""
    st.markdown("**Images of a cell**", help="Click on a cell of any matrix, or choose its two classes here.")
    true, predicted = cell_boxes(classes, true="cell.true", predicted="cell.predicted")
    if true is None or predicted is None:
        st.caption("Choose a cell to see its images, and what every run says of them.")
        return
    if left_out := [names[run] for run in predictions if run not in same_images]:
        st.caption(plain(f"Tested on other images, so left out: {', '.join(left_out)}."))
    numbers, counts = cell_of_any(in_letters(), true, predicted)
    st.markdown(plain(cell_in_words(counts, true, predicted)))
    if len(numbers):
        show_images(numbers, "page.cell")


def show_agreement(other: str) -> None:
    """Which of two runs is right where, with the images and what every compared run says of them."""
    if other not in same_images:
        st.info("These runs were tested on other images: image by image, they do not compare.")
        return
    found = agreement(predictions[baseline], predictions[other])
    if found.empty:
        st.info("These runs share no test images with the same label.")
        return
    said, counts = groups_in_words(names[baseline], names[other]), agreement_counts(found)
    st.dataframe(
        counts.assign(group=counts["group"].map(said), share=100 * counts["share"]),
        hide_index=True,
        column_config={"group": "right", "share": st.column_config.NumberColumn(format="%.1f %%")},
        alt="On how many images each of the two runs is right",
    )
    group = choose("Images", GROUPS, "pair.group", format_func=said.__getitem__, default=GROUPS[2])
    show_images(found["image"][found["group"] == group].to_numpy(), f"page.pair.{group}")


def in_letters() -> dict[str, Predictions]:
    """The predictions of the runs that were tested on the same images, by the letters that stand for the runs there."""
    return {letter: predictions[run] for letter, run in zip("ABCDEFGH", same_images, strict=False)}


def show_images(numbers: Rows, key: str) -> None:
    """Test images by their numbers, each with what every run says of it."""
    if not len(numbers):
        st.caption("There are none.")
        return
    if (opened := images_of(known[same_images[0]])) is None:
        return
    said = in_letters()
    st.caption(plain(" · ".join(f"{letter}: {names[run]}" for letter, run in zip(said, same_images, strict=True))))
    paged(opened.test_images, numbers, what_each_says(said, numbers), key=key, what="Test image")


def show_together() -> None:
    """The groups of the chosen runs: what their differences are worth, all seeds in a table, means in bands."""
    of_groups = {group.title: [(run, reads.history(run.id)) for run in group.runs] for group in compared}
    pairs = [(run, last_seconds(run, histories)) for members in of_groups.values() for run, histories in members]
    show_groups(
        compared,
        base,
        seconds={run.id: took for run, took in pairs if took is not None},
        alt="The groups side by side; training is that of the last phase",
    )
    st.caption(
        "Runs that differ only in their seed are one group: all that are done, chosen here or not; archived ones "
        "only if chosen."
    )
    if left_out := [names[run] for run in chosen if run not in groups]:
        st.caption(plain(f"Not done, so in no group: {', '.join(left_out)}."))
    if said := others_features(of_groups):
        st.caption(plain(said))
    warn_of_seconds(run for run, _ in pairs)
    x: X = choose("Means over", list(OVER), "compare.means", format_func=OVER.__getitem__, default="epoch")
    measures: tuple[Measure, ...] = ("accuracy", "loss")
    for column, measure in zip(st.columns(2), measures, strict=True):
        with column:
            draw(
                bands.figure(of_groups, measure, x, places=places(names, groups), baseline=base, dark=is_dark()),
                f"mean {measure}",
                key=f"together.{measure}.{x}",
                alt=f"Mean validation {measure} of each group; the same numbers stand in the table below",
            )
    st.caption("Thick lines are means over all seeds, bands ± one standard deviation, thin lines single seeds.")
    if inside := unfolded("The means as a table", key="fold.means", in_link=True):
        inside.dataframe(
            bands.table(of_groups, x), hide_index=True, alt="Mean and spread of each group, epoch by epoch"
        )


@st.fragment
def show_matrices() -> None:
    """The confusion matrices side by side, and the baseline against another run; by itself when a choice changes."""
    if not predictions:
        st.caption("None of these runs has predicted its test images yet.")
        return
    values = choose("Cells", CELLS, "compare.cells", default="row %", help=help_for("confusion matrix"))
    matrices = {names[run]: confusion(found) for run, found in predictions.items()}
    figures = confusion_figures(matrices, "test", values=values, dark=is_dark())
    columns = st.columns(2)
    for position, (title, figure) in enumerate(zip(matrices, figures, strict=True)):
        with columns[position % 2]:
            alt = f"Confusion matrix of {title}; the same numbers stand in the table below"
            draw_cells(figure, f"confusion {title}", key=f"matrix.{position}", alt=alt)
    if inside := unfolded("These matrices as one table", key="fold.matrices", in_link=True):
        rows = cells(matrices, values).round(1)
        inside.dataframe(rows, hide_index=True, alt="Each cell of the confusion matrices, a column for each run")
    minus, images = st.columns(2, gap="large")
    with minus:
        other = choose_other()
        if other:
            show_difference(other)
    with images:
        show_cell(list(dict.fromkeys(name for matrix in matrices.values() for name in matrix.index)))
    if other and (inside := unfolded("Which of the two is right, image by image", key="fold.pair", in_link=True)):
        with inside:
            show_agreement(other)


def choose_other() -> str | None:
    """The run whose matrix is set against the baseline's, or None where there are not two, which is said."""
    others = [run for run in predictions if run != baseline]
    if baseline not in predictions:
        st.caption(
            plain(f"The baseline, “{names[baseline]}”, has not predicted its test images: no differences to it.")
        )
        return None
    if not others:
        st.caption("No other run has predicted its test images yet: there is no difference to show.")
        return None
    if len(others) == 1:
        return others[0]
    chosen: str = st.selectbox(
        "Against the baseline", others, format_func=names.__getitem__, key="pair.other", bind="query-params"
    )
    return chosen


st.title("Compare", anchor=False)
comparisons = {each.id: each for each in store.comparisons()}
known = {run.id: run for run in reads.runs(archived=True) if run.state.is_active or run.state.is_finished}
top, about = st.container(horizontal=True, vertical_alignment="center"), st.container()
open_link()
taken = state["compare.runs"]
offered = [run for run in known if run in taken or not known[run].archived]
if len(offered) < 2:
    st.info("Two runs are needed to compare; there are fewer.", icon=":material/compare_arrows:")
    st.page_link("pages/1_Experiment.py", label="Go to the experiment form", icon=":material/tune:")
    st.stop()
every_tag = sorted({tag for run in offered for tag in known[run].tags})
tags = st.pills("Tags", every_tag, selection_mode="multi", key="tags", bind="query-params") if every_tag else []
tagged = [run for run in offered if run in taken or set(tags) <= set(known[run].tags)]
chosen = st.multiselect(
    f"Runs, 2 to {MOST}",
    [run for place, run in enumerate(tagged) if place < LISTED or run in taken],
    format_func=lambda run: f"{known[run].name} ({run})",
    key="compare.runs",
    max_selections=MOST,
    help="Runs of the same split and classes compare best; what does not compare is said.",
)
chosen = [run for run in chosen if run in known]
if len(chosen) < 2:
    with top:
        lead_to_kept()
    with about:
        say_kept()
    st.caption("Choose at least two runs.")
    st.stop()
if state.get("compare.baseline") not in chosen:
    state["compare.baseline"] = chosen[0]
runs = [known[run] for run in chosen]
names = titles(runs)
baseline = st.selectbox(
    "Baseline", chosen, format_func=names.__getitem__, key="compare.baseline", help=help_for("baseline")
)
groups = of_all_seeds(runs, reads.runs(archived=True))
compared = each_once(groups)
base = groups[baseline].title if baseline in groups else names[baseline]
name_address(chosen, baseline)
with top:
    lead_to_kept()
    keep_this(chosen, baseline)
    if len(by_experiment(runs)) > 1:
        lead_to_lecture(chosen, "Show this in a lecture")
with about:
    say_kept()

measured = [(run, reads.history(run.id)) for run in runs]
kept = {run.id: reads.predictions(run.id, "test") for run in runs}
predictions = {run: found for run, found in kept.items() if found is not None}
images = {run.id: run.environment.get("fingerprint") for run in runs}
tested = baseline if baseline in predictions else next(iter(predictions), baseline)
same_images = [run for run in predictions if images[run] == images[tested]]

results = table(measured, baseline)
if any(len(group.runs) > 1 for group in compared):
    show_together()
    section("Run by run")
else:
    show_verdict(compared, base)
st.dataframe(shown(results), hide_index=True, height="content", alt="The runs side by side")
if results["accuracy"].notna().any():
    draw(
        accuracy_figure(results, baseline=baseline, dark=is_dark()),
        "accuracies",
        key="accuracies",
        alt="Test accuracies with their 95 % intervals; the same numbers stand in the table above",
    )

section("Three questions")
for answer in three_answers(measured, groups, predictions_of):
    st.markdown(f"**{answer.question}**")
    st.markdown("\n".join(f"- {plain(sentence)}" for sentence in answer.sentences))

section("What differs")
differing = settings_that_differ(runs)
if differing.empty:
    st.caption("Nothing differs but chance: equal settings and seeds.")
else:
    st.table(differing)
if apart := other_paths(measured):
    st.caption(plain(apart))

section("Curves")
curves(measured, key="compare", baseline=baseline)
if inside := unfolded("Epochs as a table", key="fold.epochs", in_link=True):
    inside.dataframe(every_epoch(measured), hide_index=True, alt="All epochs of the runs")

show_pareto(measured, baseline)

section("Confusion matrices")
show_matrices()

section("Where the seconds went")
ledgers = {names[run.id]: run.seconds for run in runs if run.seconds}
if ledgers:
    figure = ledger_figure(ledgers, dark=is_dark())
    alt = "Where the seconds of the runs went; the same numbers stand in the table below"
    draw(figure, "seconds", key="ledgers", alt=alt)
    if inside := unfolded("The seconds as a table", key="fold.ledgers", in_link=True):
        inside.dataframe(ledger(ledgers), hide_index=True, height="content", alt="Where the seconds of the runs went")
if machine := one_machine(runs):
    st.caption(plain(machine))
warn_of_seconds(runs)

fold = "Why is it faster? The seconds of the last phase taken apart"
if inside := unfolded(fold, key="fold.speedup", in_link=True):
    with inside:
        if freezing := that_froze(measured):
            show_speedups(freezing, names)
        else:
            st.caption("None of these runs has kept a network whose last phase froze layers.")

section("Take it with you")
comparison(measured, baseline, groups, lambda: predictions | predictions_of(compared))
