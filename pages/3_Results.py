"""Everything one run measured."""

import pandas as pd
import streamlit as st

from cifar_core.analysis import history as tables
from cifar_core.analysis.figures import (
    change_figure,
    change_sentence,
    change_table,
    confusion_figure,
    ledger_figure,
    ledger_table,
)
from cifar_core.analysis.metrics import METRICS, confident_mistakes, confusion, measure, per_class
from cifar_core.analysis.predictions import Predictions
from cifar_core.analysis.wording import interval, size, status
from cifar_core.experiment.measured import PhaseHistory, Run
from cifar_core.ui import reads
from cifar_core.ui.curves import curves
from cifar_core.ui.glossary import help_for
from cifar_core.ui.page import is_dark, set_up, unfolded
from cifar_core.ui.run_header import badges, chosen_run, reason, settings
from cifar_core.ui.text import plain

set_up("Results")
store = reads.store()
PERCENT = st.column_config.NumberColumn(format="%.1f %%")


def show_metrics(run: Run, predictions: Predictions, split: str) -> None:
    """Accuracy with its interval, the confusion matrix, the report per class and the other metrics."""
    found = measure(predictions, run.metrics.get(split))
    words = interval(found["accuracy"], found["accuracy_low"], found["accuracy_high"], int(found["n"]))
    st.markdown(f"**{words}** of the {split} images given their right class.", help=help_for("accuracy"))
    matrix, report = st.columns([3, 2], gap="large")
    counts, rows = confusion(predictions), per_class(predictions)
    with matrix:
        values = st.segmented_control(
            "Cells",
            ["counts", "row %"],
            default="counts",
            required=True,
            key=f"cells.{split}",
            help=help_for("confusion matrix"),
        )
        st.plotly_chart(
            confusion_figure(counts, split, values=values, dark=is_dark()),
            key=f"matrix.{split}",
            theme=None,
            config={"displayModeBar": False},
            alt=f"Confusion matrix of the {split} images; the same counts stand in the table below",
        )
        if table := unfolded("Confusion matrix as a table", key=f"fold.matrix.{split}"):
            table.dataframe(counts, alt="Counts of true (rows) and predicted (columns) classes")
    with report:
        shares = ["precision", "recall", "f1"]
        rows[shares] *= 100
        st.dataframe(
            rows,
            hide_index=True,
            height="content",
            column_config=dict.fromkeys(shares, PERCENT),
            alt=f"Report per class, {split} images",
        )
        if table := unfolded("All metrics, with what they mean", key=f"fold.metrics.{split}"):
            all_rows = [
                {"metric": row.title, "value": row.show(found[row.name]), "meaning": row.meaning} for row in METRICS
            ]
            table.table(pd.DataFrame(all_rows), hide_index=True)


def show_mistakes(run: Run, predictions: Predictions) -> None:
    """The mistakes made with the most confidence, as images and as a table."""
    mistakes, opened = confident_mistakes(predictions), reads.images_of(run.experiment.data)
    if opened is None or opened.fingerprint != run.environment.get("fingerprint"):
        st.info("The images of this run are not on this computer, or are others now; the table still tells.")
    else:
        with st.container(horizontal=True):
            for row in mistakes.to_dict("records"):
                words = f"{row['true']}, taken for {row['predicted']} ({100 * row['probability']:.0f} %)"
                alt = f"Test image {row['image']}: {words}"
                st.image(opened.test_images[row["image"]], width=128, caption=words, alt=alt)
    st.dataframe(
        mistakes.drop(columns="index").assign(probability=100 * mistakes["probability"]),
        hide_index=True,
        column_config={"probability": PERCENT},
        alt="The most confident mistakes",
    )


def show_changes(phase: PhaseHistory) -> None:
    """How far a phase moved each layer."""
    figure, table = st.columns([3, 2], gap="large")
    figure.plotly_chart(
        change_figure(phase.changes, phase.name, dark=is_dark()),
        key=f"changes.{phase.index}",
        theme=None,
        config={"displayModeBar": False},
        alt=f"How far {phase.name} moved each layer; the same numbers stand in the table beside",
    )
    table.dataframe(
        change_table(phase.changes)[["layer", "frozen", "change", "text"]],
        hide_index=True,
        column_config={"change": st.column_config.NumberColumn(format="%.4f"), "text": "relative"},
        alt=f"Norm of the change of each layer in {phase.name}",
    )


def show_seconds(run: Run) -> None:
    """Where the run's seconds went."""
    st.plotly_chart(
        ledger_figure({run.name: run.seconds}, dark=is_dark()),
        key="ledger",
        theme=None,
        config={"displayModeBar": False},
        alt="Where the run's seconds went; the same numbers stand in the table below",
    )
    seconds = ledger_table({run.name: run.seconds})[["title", "seconds", "share"]]
    st.dataframe(
        seconds.assign(share=100 * seconds["share"]),
        hide_index=True,
        column_config={"seconds": st.column_config.NumberColumn(format="%.1f s"), "share": PERCENT},
        alt="Timing ledger",
    )


def downloads(run: Run, histories: tuple[PhaseHistory, ...]) -> None:
    """Everything of the run as files, read when asked for; the experiment can be loaded again."""
    with st.container(horizontal=True):
        st.download_button("Experiment (JSON)", run.experiment.to_json, f"{run.id}-experiment.json", "application/json")
        st.download_button("History (CSV)", lambda: tables.to_csv(histories), f"{run.id}-history.csv", "text/csv")
        for file, label in (
            ("model.keras", "Model (.keras)"),
            ("test.npz", "Predictions on test (.npz)"),
            ("validation.npz", "Predictions on validation (.npz)"),
        ):
            path = store.artifacts(run.id) / file
            if path.exists():
                st.download_button(f"{label}, {size(path.stat().st_size)}", path.read_bytes, f"{run.id}-{file}")


def manage(run: Run) -> None:
    """Rename, note, archive, delete."""
    name = st.text_input(
        "Name", run.name, key=f"name.{run.id}", max_chars=200, help="What the run is called everywhere."
    )
    note = st.text_area(
        "Note", run.note, key=f"note.{run.id}", max_chars=5000, help="Anything worth remembering about this run."
    )
    if (name.strip() and name != run.name) or note != run.note:
        store.rename(run.id, name.strip() or run.name)
        store.set_note(run.id, note)
        reads.runs.clear()
        st.rerun()
    with st.container(horizontal=True):
        if st.button("Archive" if not run.archived else "Bring back", icon=":material/archive:"):
            store.archive(run.id, not run.archived)
            reads.runs.clear()
            st.rerun()
        with st.popover("Delete for good"):
            st.write(f"This removes the run, its measurements and its files ({size(run.size)}).")
            if st.button("Delete now", type="primary"):
                store.delete(run.id)
                reads.runs.clear()
                st.query_params.clear()
                st.rerun()


st.title("Results")
archived = st.toggle("Show archived runs", key="archived", help="Archived runs are kept, but left out of lists.")
run_id = chosen_run([run for run in reads.runs(archived=archived) if run.state.is_finished])
if run_id is None:
    st.info("No run has finished yet.", icon=":material/fact_check:")
    st.page_link("pages/1_Experiment.py", label="Go to the experiment form", icon=":material/tune:")
    st.stop()
run = store.run(run_id)
st.markdown(f"**{plain(status(run))}** · seed {run.seed} · takes {size(run.size)}")
badges(run)
reason(run)
kept = {split: found for split in ("test", "validation") if (found := reads.predictions(run.id, split)) is not None}
if kept:
    tabs = st.tabs([f"{split.capitalize()} images" for split in kept], key="split", on_change="rerun")
    for tab, (split, found) in zip(tabs, kept.items(), strict=True):
        if tab.open:
            with tab:
                show_metrics(run, found, split)
    if run.experiment.validation.on == "test":
        st.caption("The validation images are the test images.")
st.subheader("Training")
histories = reads.history(run.id)
curves([(run, histories)], key="results")
if inside := unfolded("Epochs as a table", key="fold.epochs"):
    inside.dataframe(tables.epochs(histories), hide_index=True, alt="All epochs of the run")
if proven := [phase for phase in histories if phase.changes]:
    st.subheader("Proof of freezing", help=help_for("proof of freezing"))
    st.markdown("\n".join(f"- **{plain(phase.name)}**: {plain(change_sentence(phase.changes))}" for phase in proven))
    if inside := unfolded("How far each layer moved", key="fold.changes"):
        with inside:
            for phase in proven:
                show_changes(phase)
st.subheader("More about this run")
if "test" in kept and (inside := unfolded("Most confident mistakes", key="fold.mistakes")):
    with inside:
        show_mistakes(run, kept["test"])
if run.seconds and (inside := unfolded("Where the seconds went", key="fold.seconds")):
    with inside:
        show_seconds(run)
if inside := unfolded("Network, layers and settings", key="fold.settings"):
    with inside:
        settings(run, key="settings")
st.caption(
    f"{run.environment.get('provenance', '')} {run.environment.get('hardware', '')} · "
    + ", ".join(f"{name} {version}" for name, version in run.environment.get("versions", {}).items())
)
st.subheader("Take it with you")
downloads(run, histories)
st.subheader("Name, note, archive")
manage(run)
