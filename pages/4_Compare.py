"""Two to eight runs side by side: the verdict first, the evidence under it."""

import pandas as pd
import streamlit as st

from cifar_core.analysis.answers import three_answers
from cifar_core.analysis.comparison import settings_that_differ, shown, table
from cifar_core.analysis.figures import CELLS, accuracy_figure, confusion_figures, difference_figure, ledger_figure
from cifar_core.analysis.labels import titles
from cifar_core.analysis.metrics import confusion
from cifar_core.analysis.samples import (
    GROUPS,
    agreement,
    agreement_counts,
    difference,
    rows_of,
    top_classes,
    true_class,
)
from cifar_core.analysis.verdict import verdict
from cifar_core.ui import reads
from cifar_core.ui.curves import curves
from cifar_core.ui.export import comparison
from cifar_core.ui.gallery import images_of, paged
from cifar_core.ui.glossary import help_for
from cifar_core.ui.page import is_dark, set_up, unfolded
from cifar_core.ui.pareto import show_pareto
from cifar_core.ui.text import plain

set_up("Compare")
MOST = 8


def show_difference(other: str) -> None:
    """The confusion matrix of another run minus the baseline's."""
    found = difference(predictions[baseline], predictions[other])
    if found is None:
        st.info("These runs tell other classes apart: their matrices have no difference.", icon=":material/difference:")
        return
    st.plotly_chart(
        difference_figure(found, names[baseline], names[other], dark=is_dark()),
        key="difference",
        theme=None,
        config={"displayModeBar": False},
        alt=f"Confusion matrix of {names[other]} minus that of {names[baseline]}; the numbers stand in the table below",
    )
    if table := unfolded("The difference as a table, points of the true class", key="fold.difference"):
        table.dataframe((100 * found).round(1), alt="Difference of true (rows) and predicted (columns) classes")


def show_agreement(other: str) -> None:
    """Which of two runs is right where, with the images and what every compared run says of them."""
    st.markdown("**The same images under every run**")
    if known[other].environment.get("fingerprint") != known[baseline].environment.get("fingerprint"):
        st.info("These runs were tested on other images: image by image, they do not compare.")
        return
    found = agreement(predictions[baseline], predictions[other])
    if found.empty:
        st.info("These runs share no test images with the same label.")
        return
    said = dict(
        zip(GROUPS, ("both right", f"{names[baseline]} alone", f"{names[other]} alone", "both wrong"), strict=True)
    )
    counts = agreement_counts(found)
    st.dataframe(
        counts.assign(group=counts["group"].map(said), share=100 * counts["share"]),
        hide_index=True,
        column_config={"group": "right", "share": st.column_config.NumberColumn(format="%.1f %%")},
        alt="On how many images each of the two runs is right",
    )
    group = st.segmented_control(
        "Images", GROUPS, format_func=said.__getitem__, default=GROUPS[2], required=True, key="pair.group"
    )
    show_group(found[found["group"] == group], f"page.pair.{group}")


def show_group(found: pd.DataFrame, key: str) -> None:
    """Images, where the two runs differ most in the probability of the true class first."""
    if found.empty:
        st.caption("There are none.")
        return
    if (opened := images_of(known[baseline])) is None:
        return
    numbers = found["image"].to_numpy()
    same_images = [
        run
        for run in predictions
        if known[run].environment.get("fingerprint") == known[baseline].environment.get("fingerprint")
    ]
    rows = {run: rows_of(predictions[run], numbers) for run in same_images}
    letters = dict(zip(same_images, "ABCDEFGH", strict=False))
    st.caption(plain(" · ".join(f"{letter}: {names[run]}" for run, letter in letters.items())))

    def caption(place: int) -> str:
        told = [
            f"{letters[run]}: {top_classes(predictions[run], own[place], 1)}"
            for run, own in rows.items()
            if own[place] >= 0
        ]
        return "\n".join([true_class(predictions[baseline], rows[baseline][place]), *told])

    paged(opened.test_images, numbers, caption, key=key, what="Test image")


st.title("Compare")
known = {run.id: run for run in reads.runs() if run.state.is_active or run.state.is_finished}
if len(known) < 2:
    st.info("Two runs are needed to compare; there are fewer.", icon=":material/compare_arrows:")
    st.page_link("pages/1_Experiment.py", label="Go to the experiment form", icon=":material/tune:")
    st.stop()

shown_last, baseline_last = st.session_state.get("compare.shown", ([], ""))
linked = [run for run in st.query_params.get("runs", "").split(",") if run in known]
if (linked and linked != shown_last) or "compare.runs" not in st.session_state:
    st.session_state["compare.runs"] = [run for run in linked or shown_last if run in known][:MOST]
    st.session_state["compare.baseline"] = st.query_params.get("baseline", baseline_last)
chosen = st.multiselect(
    f"Runs, 2 to {MOST}",
    list(known),
    format_func=lambda run: f"{known[run].name} ({run})",
    key="compare.runs",
    max_selections=MOST,
    help="Runs of the same split and classes compare best; what does not compare is said.",
)
chosen = [run for run in chosen if run in known]
if len(chosen) < 2:
    st.caption("Choose at least two runs.")
    st.stop()
if st.session_state.get("compare.baseline") not in chosen:
    st.session_state["compare.baseline"] = chosen[0]
names = titles([known[run] for run in chosen])
baseline = st.selectbox(
    "Baseline", chosen, format_func=names.__getitem__, key="compare.baseline", help=help_for("baseline")
)
st.session_state["compare.shown"] = chosen, baseline
st.query_params.from_dict({"runs": ",".join(chosen), "baseline": baseline})

runs = [known[run] for run in chosen]
measured = [(run, reads.history(run.id)) for run in runs]
kept = {run.id: reads.predictions(run.id, "test") for run in runs}
predictions = {run: found for run, found in kept.items() if found is not None}

first, _, limits = verdict(runs, baseline, predictions).partition("\n")
st.markdown(f"#### {plain(first)}")
st.markdown(plain(limits))
results = table(measured, baseline)
st.dataframe(shown(results), hide_index=True, height="content", alt="The runs side by side")
if results["accuracy"].notna().any():
    st.plotly_chart(
        accuracy_figure(results, baseline=baseline, dark=is_dark()),
        key="accuracies",
        theme=None,
        config={"displayModeBar": False},
        alt="Test accuracies with their 95 % intervals; the same numbers stand in the table above",
    )

st.subheader("Three questions")
for answer in three_answers(measured):
    st.markdown(f"**{answer.question}**")
    st.markdown("\n".join(f"- {plain(sentence)}" for sentence in answer.sentences))

st.subheader("What differs")
differing = settings_that_differ(runs)
if differing.empty:
    st.caption("Nothing differs but chance: equal settings and seeds.")
else:
    st.table(differing)

st.subheader("Curves")
curves(measured, key="compare", baseline=baseline)

show_pareto(measured, baseline)

st.subheader("Confusion matrices")
if predictions:
    values = st.segmented_control(
        "Cells",
        CELLS,
        default="row %",
        required=True,
        key="compare.cells",
        help=help_for("confusion matrix"),
    )
    matrices = {names[run]: confusion(found) for run, found in predictions.items()}
    columns = st.columns(2)
    for position, figure in enumerate(confusion_figures(matrices, "test", values=values, dark=is_dark())):
        columns[position % 2].plotly_chart(
            figure,
            key=f"matrix.{position}",
            theme=None,
            config={"displayModeBar": False},
            alt=f"Confusion matrix of {list(matrices)[position]}",
        )
    if baseline in predictions and len(predictions) > 1:
        others = [run for run in predictions if run != baseline]
        if inside := unfolded("Baseline against another run: where they differ", key="fold.pair"):
            with inside:
                other = others[0]
                if len(others) > 1:
                    other = st.selectbox("Other run", others, format_func=names.__getitem__, key="pair.other")
                show_difference(other)
                show_agreement(other)
else:
    st.caption("None of these runs has predicted its test images yet.")

st.subheader("Where the seconds went")
ledgers = {names[run.id]: run.seconds for run in runs if run.seconds}
if ledgers:
    st.plotly_chart(
        ledger_figure(ledgers, dark=is_dark()),
        key="ledgers",
        theme=None,
        config={"displayModeBar": False},
        alt="Where the seconds of the runs went",
    )
if len({run.environment.get("hardware") for run in runs if run.environment}) > 1:
    st.warning("These runs were computed on different machines: their seconds do not compare.", icon=":material/flag:")

st.subheader("Take it with you")
comparison(measured, predictions, baseline)
