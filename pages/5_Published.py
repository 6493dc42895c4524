"""What was published beside what this store has measured."""

import streamlit as st

from cifar_core.analysis.labels import labels
from cifar_core.analysis.published import Claim, claims, table
from cifar_core.experiment.recipes import RECIPES
from cifar_core.ui import reads
from cifar_core.ui.page import set_up
from cifar_core.ui.start import next_seed, start
from cifar_core.ui.text import plain

set_up("Published")
st.title("Published")
st.markdown(
    "Each published accuracy beside the runs of this server that did the same: the same network, phases and images. "
    "*Reproduced* means that the published value lies within the range of these runs, widened by the 95 % interval "
    "that its own number of images allows. The seconds depend on the machine."
)
found = claims([(run, reads.history(run.id)) for run in reads.runs(archived=True) if run.state.is_finished])
st.dataframe(table(found), hide_index=True, height="content", alt="Published and measured accuracies side by side")
for label in dict.fromkeys(label for claim in found for run, _ in claim.runs for label in labels(run)):
    st.badge(label, icon=":material/flag:", color="gray")


def show_claim(claim: Claim) -> None:
    """The claim as published, what its own code printed, and the runs that measured it here."""
    published = {
        "validation accuracy": claim.published.val_accuracy,
        "validation loss": claim.published.val_loss,
        "training accuracy": claim.published.accuracy,
        "training loss": claim.published.loss,
        "validation accuracy after the first epoch": claim.published.first_val_accuracy,
    }
    st.markdown(f"**{plain(claim.title)}** · {claim.badge}")
    st.caption(
        "Published: " + ", ".join(f"{name} {value:.4f}" for name, value in published.items() if value is not None)
    )
    for run, _ in claim.runs:
        st.page_link(
            "pages/3_Results.py", label=plain(run.name), icon=":material/fact_check:", query_params={"run": run.id}
        )


for recipe in RECIPES.values():
    own = [claim for claim in found if claim.recipe.id == recipe.id]
    with st.expander(f"{recipe.title}: {recipe.summary}"):
        st.caption(f"Source: {recipe.source}")
        for claim in own:
            show_claim(claim)
        for title, sentences in (("Contradictions", recipe.contradictions), ("Decided here", recipe.decisions)):
            if sentences:
                st.markdown(f"**{title}**\n" + "\n".join(f"- {plain(sentence)}" for sentence in sentences))
        seed = next_seed(recipe.experiment)
        with st.container(horizontal=True):
            data = recipe.experiment.data
            here = reads.where_images_are(data.name, data.location) is not None
            if st.button(
                f"Run it with seed {seed}", key=f"run.{recipe.id}", icon=":material/play_arrow:", disabled=not here
            ):
                start(recipe.experiment, seed)
            st.page_link(
                "pages/1_Experiment.py",
                label="Open in the form",
                icon=":material/tune:",
                query_params={"start": recipe.id},
            )
            if not here:
                st.caption("CIFAR-10 is not on this computer; the form can download it, or run this on the sample.")
