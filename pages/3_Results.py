"""Everything one run measured."""

import numpy as np
import streamlit as st

from cifar_core.analysis import history as tables
from cifar_core.analysis import replay, results
from cifar_core.analysis.figures import CELLS, change_figure, change_sentence, confusion_figure, ledger_figure
from cifar_core.analysis.inside import (
    filter_tiles,
    montage,
    projection_figure,
    separation_table,
    similarity_figure,
    similarity_sentence,
    similarity_table,
    what_was_before,
)
from cifar_core.analysis.metrics import confusion, measure
from cifar_core.analysis.predictions import Predictions
from cifar_core.analysis.samples import SELECTIONS, Rows, by_confusion, cell, top_classes, true_class
from cifar_core.analysis.wording import count, listing, size, status
from cifar_core.experiment.measured import PhaseHistory, Run
from cifar_core.home import home
from cifar_core.runs import inspect
from cifar_core.ui import housekeeping, people, reads
from cifar_core.ui.curves import curves
from cifar_core.ui.export import downloads, draw
from cifar_core.ui.gallery import cell_boxes, images_of, paged
from cifar_core.ui.glossary import help_for
from cifar_core.ui.page import height_of, is_dark, section, set_up, unfolded
from cifar_core.ui.run_header import badges, chosen_run, edit_link, reason, settings
from cifar_core.ui.text import plain

set_up("Results")
MOST_SAMPLES = 96
BEFORE, AFTER = "before the target classes", "after training"
TWO_DECIMALS = st.column_config.NumberColumn(format="%.2f")
PERCENT = st.column_config.NumberColumn(format="%.1f %%")
PERCENT_OF_TRUE = st.column_config.NumberColumn("of the true class", format="%.1f %%")


def show_metrics(run: Run, predictions: Predictions, split: str) -> None:
    """Accuracy with its interval, the confusion matrix, the report per class and the other metrics."""
    found = measure(predictions, run.metrics.get(split))
    said = f"**{results.accuracy(found)}** of the {split} images given their right class."
    st.markdown(said, help=help_for("accuracy"))
    matrix, report = st.columns([3, 2], gap="large")
    with matrix:
        show_matrix(predictions, split)
        show_cell(run, predictions, split)
    with report:
        rows = results.report(predictions)
        st.dataframe(
            rows,
            hide_index=True,
            height=height_of(rows),
            column_config=dict.fromkeys(("precision", "recall", "f1"), PERCENT),
            alt=f"Report per class, {split} images",
        )
        if inside := unfolded("Most confused classes", key=f"fold.confused.{split}", in_link=True):
            with inside:
                show_confused(predictions)
        if inside := unfolded("All metrics, with what they mean", key=f"fold.metrics.{split}", in_link=True):
            inside.table(results.every_metric(found), hide_index=True)


def show_matrix(predictions: Predictions, split: str) -> None:
    """The confusion matrix; a click on a cell chooses its images."""
    with st.container(horizontal=True):
        values = st.segmented_control(
            "Cells",
            CELLS,
            default="counts",
            required=True,
            key=f"cells.{split}",
            bind="query-params",
            help=help_for("confusion matrix"),
        )
        is_sorted = st.toggle(
            "Confused classes side by side",
            key=f"sorted.{split}",
            bind="query-params",
            help=help_for("hierarchy of confusion"),
        )
    counts = confusion(predictions)
    draw(
        confusion_figure(by_confusion(counts) if is_sorted else counts, split, values=values, dark=is_dark()),
        f"confusion {split}",
        key=f"matrix.{split}",
        on_select=lambda: choose_cell(split),
        selection_mode="points",
        alt=f"Confusion matrix of the {split} images; the same counts stand in the table below",
    )
    if inside := unfolded("Confusion matrix as a table", key=f"fold.matrix.{split}", in_link=True):
        inside.dataframe(results.matrix_table(counts), alt="Counts of true (rows) and predicted (columns) classes")


def choose_cell(split: str) -> None:
    """Take over the cell that was clicked on; a second click takes the choice back."""
    points = st.session_state[f"matrix.{split}"].selection.points
    true, predicted = points[0]["customdata"][:2] if points else (None, None)
    st.session_state[f"true.{split}"], st.session_state[f"predicted.{split}"] = true, predicted


def show_confused(predictions: Predictions) -> None:
    """The pairs of classes that are confused most, and how all classes group by confusion."""
    st.dataframe(
        results.pairs(predictions),
        hide_index=True,
        column_config={"share": PERCENT_OF_TRUE},
        alt="The most confused pairs of classes",
    )
    st.caption("Classes that group by confusion, the closest first", help=help_for("hierarchy of confusion"))
    st.dataframe(
        results.groups_of_classes(predictions),
        hide_index=True,
        column_config={"confused": PERCENT},
        alt="Groups of classes by confusion",
    )


def show_cell(run: Run, predictions: Predictions, split: str) -> None:
    """The images in one cell of the matrix, chosen by click or by name."""
    st.markdown("**Images of a cell**", help="Click on a cell of the matrix, or choose its two classes here.")
    classes = confusion(predictions).index
    true, predicted = cell_boxes(classes, true=f"true.{split}", predicted=f"predicted.{split}")
    if true is None or predicted is None:
        st.caption("Choose a cell to see its images.")
        return
    rows = cell(predictions, true, predicted)
    st.markdown(plain(results.cell_in_words(len(rows), true, predicted)))
    if len(rows):
        show_images(run, predictions, rows, split, key=f"page.cell.{split}")


def show_images(run: Run, predictions: Predictions, rows: Rows, split: str, *, key: str) -> None:
    """Images of one split with what the network says of them, a page at a time."""
    if (opened := images_of(run)) is None:
        return
    in_training = split == "validation" and run.experiment.validation.on != "test"
    paged(
        opened.train_images if in_training else opened.test_images,
        predictions.images[rows],
        lambda place: f"{true_class(predictions, rows[place])}\n{top_classes(predictions, rows[place])}",
        key=key,
        what="Training image" if in_training else "Test image",
    )


def show_samples(run: Run, predictions: Predictions) -> None:
    """Single images that are worth a look, as images and as a table."""
    titles = {each.title: each for each in SELECTIONS}
    selection = titles[
        st.segmented_control(
            "Which", list(titles), default=next(iter(titles)), required=True, key="which", bind="query-params"
        )
    ]
    st.caption(selection.meaning)
    rows = selection.choose(predictions)[:MOST_SAMPLES]
    if not len(rows):
        st.caption("There are none.")
        return
    show_images(run, predictions, rows, "test", key="page.samples")
    st.dataframe(
        results.single_images(predictions, rows),
        hide_index=True,
        column_config={
            "probability": PERCENT,
            "true_probability": PERCENT_OF_TRUE,
            "loss": st.column_config.NumberColumn(format="%.3f"),
        },
        alt=f"Test images: {selection.title}",
    )


@st.fragment
def show_replay(run: Run, histories: tuple[PhaseHistory, ...]) -> None:
    """What the network made of a few validation images after each epoch, under a slider."""
    moments = reads.moments(run.id)
    if not moments:
        st.caption(
            "This run has kept no answers by epoch: it ended before its first validation, or was trained by a version "
            "of Transfer Lab that did not keep them."
        )
        return
    missing = [phase.name for phase in histories if all(moment.phase != phase.index for moment in moments)]
    if missing:
        st.caption(plain(f"Nothing was kept of {listing(missing)}, taken over from a run of an earlier version."))
    chosen = st.select_slider(
        "Epoch",
        range(len(moments)),
        value=len(moments) - 1,
        format_func=lambda place: replay.title(moments[place], run.experiment),
        key=f"replay.{run.id}",
        bind="query-params",
        help="Each phase begins with what the network can do before its first step.",
    )
    moment = moments[chosen]
    predictions, title = replay.predictions(moment, run.experiment), replay.title(moment, run.experiment)
    split = "test" if run.experiment.validation.on == "test" else "validation"
    st.caption(
        f"{count(predictions.n, f'{split} image')}, the same after every epoch of a phase and as many of each class as "
        "there are. The curves above are measured on all of them."
    )
    matrix, lines = st.columns(2, gap="large")
    with matrix:
        draw(
            confusion_figure(confusion(predictions), split, title=title, dark=is_dark()),
            f"confusion {title}",
            key="replay.matrix",
            alt="Confusion matrix of the followed images at this epoch; accuracies by class stand in the table beside",
        )
    with lines:
        found = replay.accuracies(moments, run.experiment)
        draw(
            replay.accuracy_lines(found, moment, run.experiment, split=split, dark=is_dark()),
            "accuracy by class",
            key="replay.lines",
            alt="Accuracy by class over the epochs; the numbers of this epoch stand in the table below",
        )
        rows = replay.shown(found, moment)
        st.dataframe(rows, hide_index=True, height=height_of(rows), alt=f"Accuracy by class, {title}")
    show_images(run, predictions, np.arange(predictions.n), "validation", key=f"page.replay.{moment.phase}")


def show_inside(run: Run) -> None:
    """What is in the network, and what the target classes changed: computed once, when asked for."""
    found = inspect.kept_inside(reads.store(), run.id)
    if found is None:
        st.caption("Computed from the kept network on test images; this takes several seconds, once.")
        if not st.button("Look inside", icon=":material/visibility:"):
            return
        try:
            with st.spinner("Looking inside …", show_time=True):
                found = inspect.inside(home(), run.id)
        except inspect.InspectionFailed as error:
            st.error(plain(str(error)), icon=":material/error:")
            return
    st.caption(plain(str(found.no_before) or what_was_before(run.experiment)))
    show_filters(found)
    show_similarity(found)
    show_projections(found)


def show_filters(found: inspect.Inside) -> None:
    """The filters of the first convolution."""
    if found.filters is None or found.filters.shape[2] != 3:
        return
    st.markdown(f"**Filters of {plain(str(found.layer))}**", help=help_for("filters"))
    if found.filters_before is not None and np.array_equal(found.filters, found.filters_before):
        st.caption("Training on the target classes left them exactly as they were.")
    pairs = [(BEFORE, found.filters_before), (AFTER, found.filters)]
    for column, (when, kernel) in zip(st.columns(2), pairs, strict=True):
        if kernel is not None:
            tiles = filter_tiles(kernel)
            words = f"{when}: {len(tiles)} of {kernel.shape[3]}"
            scale = max(1, 24 // tiles.shape[1])
            column.image(montage(tiles, 8, scale), caption=plain(words), alt=f"Filters {words}", output_format="PNG")


def show_similarity(found: inspect.Inside) -> None:
    """How much each block's representation changed."""
    if found.cka is None or found.blocks is None or found.blocks_before is None or found.compared is None:
        return
    similarity = similarity_table(found.cka, found.blocks_before.tolist(), found.blocks.tolist())
    st.markdown("**Representations before and after**", help=help_for("linear CKA"))
    st.markdown(plain(similarity_sentence(similarity)))
    figure, table = st.columns([3, 2], gap="large")
    with figure:
        draw(
            similarity_figure(similarity, int(found.compared), dark=is_dark()),
            "similarity",
            key="similarity",
            alt="Similarity of blocks before and after the target classes; the same numbers stand in the table",
        )
    table.dataframe(
        similarity,
        column_config=dict.fromkeys(similarity.columns, TWO_DECIMALS),
        alt="Linear CKA of blocks before (rows) and after (columns)",
    )


def show_projections(found: inspect.Inside) -> None:
    """The last features of test images in two dimensions."""
    st.markdown("**Last features in two dimensions**", help=help_for("principal components"))
    names = found.class_names.tolist()
    kept = [
        (BEFORE, found.points_before, found.explained_before),
        (AFTER, found.points, found.explained),
    ]
    drawn = [(title, points, part) for title, points, part in kept if points is not None and part is not None]
    for column, (title, points, part) in zip(st.columns(2), drawn, strict=False):
        with column:
            draw(
                projection_figure(points, part, found.labels, names, found.images, title, dark=is_dark()),
                f"projection {title}",
                key=f"projection.{title}",
                alt=f"Test images projected, {title}; where each class lies stands in the table below",
            )
            st.dataframe(
                separation_table(points, found.labels, names),
                hide_index=True,
                column_config=dict.fromkeys(("component 1", "component 2", "spread"), TWO_DECIMALS),
                alt=f"Where each class lies {title}",
            )


def show_changes(phase: PhaseHistory) -> None:
    """How far a phase moved each layer."""
    figure, table = st.columns([3, 2], gap="large")
    with figure:
        draw(
            change_figure(phase.changes, phase.name, dark=is_dark()),
            f"changes {phase.name}",
            key=f"changes.{phase.index}",
            alt=f"How far {phase.name} moved each layer; the same numbers stand in the table beside",
        )
    table.dataframe(
        results.layer_changes(phase.changes),
        hide_index=True,
        column_config={"change": st.column_config.NumberColumn(format="%.4f")},
        alt=f"Norm of the change of each layer in {phase.name}",
    )


def show_seconds(run: Run) -> None:
    """Where the run's seconds went."""
    draw(
        ledger_figure({run.name: run.seconds}, dark=is_dark()),
        f"seconds {run.id}",
        key="ledger",
        alt="Where the run's seconds went; the same numbers stand in the table below",
    )
    st.dataframe(
        results.ledger(run),
        hide_index=True,
        column_config={"seconds": st.column_config.NumberColumn(format="%.1f s"), "share": PERCENT},
        alt="Timing ledger",
    )


def manage(run: Run) -> None:
    """Rename, note, archive, delete."""
    barred = people.why_not(run)
    housekeeping.name_and_note(run)
    with st.container(horizontal=True):
        st.button(
            "Bring back" if run.archived else "Archive",
            icon=":material/archive:",
            disabled=bool(barred),
            help=barred,
            on_click=housekeeping.archive,
            args=([run], not run.archived),
        )
        with st.popover("Delete for good", disabled=bool(barred), help=barred):
            st.write(f"This removes the run, its measurements and its files ({size(run.size)}).")
            st.button("Delete now", type="primary", disabled=bool(barred), on_click=delete, args=(run,))


def delete(run: Run) -> None:
    """Delete the run for good, and leave it."""
    housekeeping.delete([run])
    del st.query_params["run"]


st.title("Results", anchor=False)
archived = st.toggle(
    "Show archived runs", key="archived", bind="query-params", help="Archived runs are kept, but left out of lists."
)
run_id = chosen_run([run for run in reads.runs(archived=archived) if run.state.is_finished])
if run_id is None:
    st.info("No run has finished yet.", icon=":material/fact_check:")
    st.page_link("pages/1_Experiment.py", label="Go to the experiment form", icon=":material/tune:")
    st.stop()
run = reads.store().run(run_id)
st.markdown(f"**{plain(status(run))}** · seed {run.seed} · takes {size(run.size)}")
badges(run)
reason(run)
kept = {split: found for split in ("test", "validation") if (found := reads.predictions(run.id, split)) is not None}
if kept:
    tabs = st.tabs(
        [f"{split.capitalize()} images" for split in kept], key="split", on_change="rerun", bind="query-params"
    )
    for tab, (split, found) in zip(tabs, kept.items(), strict=True):
        if tab.open:
            with tab:
                show_metrics(run, found, split)
    if run.experiment.validation.on == "test":
        st.caption("The validation images are the test images.")
section("Training")
histories = reads.history(run.id)
curves([(run, histories)], key="results")
if inside := unfolded("Epoch by epoch: some validation images replayed", key="fold.replay", in_link=True):
    with inside:
        show_replay(run, histories)
if inside := unfolded("Epochs as a table", key="fold.epochs", in_link=True):
    inside.dataframe(tables.epochs(histories), hide_index=True, alt="All epochs of the run")
for phase in histories:
    if phase.features:
        st.caption(f"**{plain(phase.name)}**: {plain(phase.features)}")
if proven := [phase for phase in histories if phase.changes]:
    section("Proof of freezing", help=help_for("proof of freezing"))
    st.markdown("\n".join(f"- **{plain(phase.name)}**: {plain(change_sentence(phase.changes))}" for phase in proven))
    if inside := unfolded("How far each layer moved", key="fold.changes", in_link=True):
        with inside:
            for phase in proven:
                show_changes(phase)
section("More about this run")
edit_link(run)
has_model = reads.has_model(run)
if has_model:
    st.page_link(
        "pages/8_Try.py",
        label="Try an image on this network",
        icon=":material/image_search:",
        query_params={"runs": run.id},
    )
if "test" in kept and (inside := unfolded("Mistakes, and images worth a look", key="fold.mistakes", in_link=True)):
    with inside:
        show_samples(run, kept["test"])
if has_model and (inside := unfolded("Inside the network", key="fold.inside", in_link=True)):
    with inside:
        show_inside(run)
if run.seconds and (inside := unfolded("Where the seconds went", key="fold.seconds", in_link=True)):
    with inside:
        show_seconds(run)
if inside := unfolded("Network, layers and settings", key="fold.settings", in_link=True):
    with inside:
        settings(run, key="settings")
st.caption(results.origin(run))
section("Take it with you")
downloads(run)
section("Name, note, archive")
manage(run)
