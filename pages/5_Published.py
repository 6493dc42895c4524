"""What was published beside what this store has measured, and a click to measure it."""

from collections.abc import Sequence

import streamlit as st

from cifar_core.analysis.estimate import in_words, length
from cifar_core.analysis.labels import labels, seconds_labels
from cifar_core.analysis.published import (
    Badge,
    Claim,
    claims,
    following,
    from_random_weights,
    reached,
    runs_of,
    table,
    worth_running,
)
from cifar_core.analysis.wording import count
from cifar_core.data.weights import missing_weights
from cifar_core.experiment.experiment import Data, Experiment
from cifar_core.experiment.measured import Run
from cifar_core.experiment.recipe import CIFAR10
from cifar_core.experiment.recipes import RECIPES, Recipe, with_random_weights
from cifar_core.experiment.settings import SMOKE_PER_CLASS, smoke
from cifar_core.experiment.wording import run_name
from cifar_core.runs.room import NO_ROOM, bytes_kept
from cifar_core.ui import people, reads
from cifar_core.ui.page import section, set_up, unfolded
from cifar_core.ui.speedups import show_speedups, that_froze
from cifar_core.ui.start import has_room, next_seed, start
from cifar_core.ui.text import plain

set_up("Published")
COLOURS = {
    Badge.REPRODUCED: "green",
    Badge.DIFFERS: "orange",
    Badge.NOT_RUN: "gray",
    Badge.NEEDS_WEIGHTS: "violet",
    Badge.NO_ACCURACY: "gray",
}
NUMBERS = ("published", "measured here", "difference", "time here", "trainable parameters")
NO_IMAGES = "CIFAR-10 is not on this computer; the Experiment page downloads it, or takes a folder or archive of yours."


@st.cache_resource(max_entries=2, show_spinner=False)
def judged(finished: int, lacking: frozenset[str], _runs: Sequence[Run]) -> tuple[list[Claim], list[Claim]]:
    """The claims, and those without ImageNet weights: anew when what `finished` stands for has changed."""
    measured = reads.epochs_of(following(_runs))
    return claims(measured, lacking), from_random_weights(measured)


def run_links(runs: Sequence[Run], own: Sequence[Claim]) -> None:
    """Links to the results of runs, with the accuracies that each adds to these claims."""
    for run in runs:
        st.page_link(
            "pages/3_Results.py",
            label=plain(f"{run.name}: {reached(run, own)}"),
            icon=":material/fact_check:",
            query_params={"run": run.id},
        )


def show_runs(recipe: Recipe, runs: Sequence[Run], own: Sequence[Claim]) -> None:
    """Links to the runs of a recipe, and what freezing saved the newest that went no further."""
    run_links(runs, own)
    whole = [run for run in runs if len(run.experiment.phases) == len(recipe.experiment.phases)]
    if newest := that_froze(reads.epochs_of(whole))[:1]:
        show_speedups(newest, {run.id: run.name for run, _ in newest})


def badge(claim: Claim) -> str:
    """What the runs say about a claim, as markdown."""
    return f":{COLOURS[claim.badge]}-badge[{claim.badge}]"


def show_claim(claim: Claim) -> None:
    """The claim as published and as its own code printed it, beside what was measured here."""
    st.markdown(f"**{plain(claim.title)}** {badge(claim)}")
    details = claim.details(lambda run: reads.predictions(run, "test"))
    if len(details):
        st.table(details, hide_index=True, alt=f"{claim.title}: published and measured here")
    if claim.published.scores:
        st.caption(f"Precision, recall and F1 as published: {plain(claim.published.scores)}.")
    if claim.published.also:
        st.caption("Where two values were published, the first is the one that is compared.")
    st.caption(plain(claim.costs))


def run_buttons(recipe: Recipe) -> None:
    """One click runs the recipe, a quick look at it, or what is possible of it without its weights."""
    experiment, lacks = recipe.experiment, missing_weights(recipe.experiment)
    possible = with_random_weights(experiment) if lacks else experiment
    quick = smoke(possible)
    if not images_here:
        quick = quick.model_copy(update={"data": Data(name="sample", per_class=SMOKE_PER_CLASS)})
    offers = [("Run it", experiment, images_here)]
    if lacks:
        offers.append(("Run it from random weights", possible, images_here))
    offers.append(("Quick look", quick, True))
    room = has_room([possible])
    reason = people.why_not_start() or ("" if room else NO_ROOM)
    with st.container(horizontal=True):
        for label, offered, ready in offers:
            seed = next_seed(offered)
            # The seed is part of the key: of two quick clicks, the second finds its button gone.
            key = f"run.{recipe.id}.{label}.{seed}"
            if st.button(
                f"{label}, seed {seed}",
                key=key,
                icon=":material/play_arrow:",
                disabled=not ready or bool(reason),
                help=reason,
            ):
                start(offered, seed)
        st.page_link(
            "pages/1_Experiment.py", label="Open in the form", icon=":material/tune:", query_params={"start": recipe.id}
        )
    estimates = reads.estimates()
    expected = estimates.of(experiment)
    hints = [f"In full: {in_words(expected)}{f' on {estimates.hardware}' if expected else ''}."]
    if not room:
        hints.append(NO_ROOM)
    if lacks:
        hints.append(
            f"Its ImageNet weights ({lacks.name}) are not on this computer: Keras downloads them at the start of the "
            f"run, or you put that file into {lacks.parent}. From random weights, only the seconds compare."
        )
    if not images_here:
        hints.append(NO_IMAGES)
    hints.append(
        f"The quick look trains one epoch of {SMOKE_PER_CLASS} images a class{'' if images_here else ' of the sample'}"
        ": it shows that everything works, and is never compared."
    )
    st.caption(plain(" ".join(hints)))


def show_recipe(recipe: Recipe, own: Sequence[Claim]) -> None:
    """Everything about one recipe."""
    st.caption(f"{plain(recipe.summary)} Source: {plain(recipe.source)}.")
    for claim in own:
        show_claim(claim)
    for title, sentences in (("Contradictions", recipe.contradictions), ("Decided here", recipe.decisions)):
        if sentences:
            st.markdown(f"**{title}**\n" + "\n".join(f"- {plain(sentence)}" for sentence in sentences))
    if followed := runs_of(recipe, finished):
        st.markdown("**Runs here**")
        show_runs(recipe, followed, own)
    if without := [claim for claim in random if claim.recipe.id == recipe.id]:
        st.markdown("**From random weights: the seconds compare, the accuracies do not**")
        for row in table(without).to_dict("records"):
            said = f"{row['recipe']}: {row['measured here']}, {row['time here']} on {row['hardware here']}"
            st.markdown(f"- {plain(said)}")
        unlike = without[0].recipe
        show_runs(unlike, runs_of(unlike, finished), without)
    run_buttons(recipe)


def queue_all(wanted: Sequence[tuple[Experiment, int]]) -> None:
    """Queue runs one behind the other, and go to the first."""
    queued = [people.submit(experiment, seed, run_name(experiment, seed)) for experiment, seed in wanted]
    reads.runs.clear()
    st.switch_page("pages/2_Live.py", query_params={"run": queued[0]})


def show_all() -> None:
    """Run whatever this computer can, and say before how long that will take."""
    estimates = reads.estimates()
    able = worth_running([recipe for recipe in RECIPES.values() if recipe.id not in lacking])
    able.sort(key=lambda recipe: estimates.size(recipe.experiment))
    experiments = [recipe.experiment for recipe in able]
    st.markdown(f"**All that this computer can run: {count(len(able), 'run')}**")
    if expected := estimates.of_all(experiments):
        st.caption(f"One after the other, the shortest first: {in_words(expected)} ({plain(estimates.hardware)}).")
    else:
        st.caption(f"One after the other, those with the least to compute first; {in_words(None)}.")
    st.markdown("\n".join(f"1. {plain(recipe.title)}: {length(estimates.of(recipe.experiment))}" for recipe in able))
    others = [recipe for recipe in RECIPES.values() if recipe not in able]
    covered = "; ".join(recipe.title for recipe in others if recipe.id not in lacking)
    left_out = "; ".join(recipe.title for recipe in others if recipe.id in lacking)
    if covered:
        st.caption(f"Begun with by a longer one, and measured by it: {plain(covered)}.")
    if left_out:
        st.caption(f"Left out, because their ImageNet weights are not on this computer: {plain(left_out)}.")
    room = has_room(experiments)
    if not images_here:
        st.caption(NO_IMAGES)
    if not room:
        needed = sum(map(bytes_kept, experiments))
        st.caption(f"There is too little room on the disk: these runs keep about {needed / 1e6:.0f} MB.")
    wanted = [(experiment, next_seed(experiment)) for experiment in experiments]
    key = f"run.all.{'.'.join(str(seed) for _, seed in wanted)}"
    reason = people.why_not_start(len(wanted))
    possible = images_here and room and not reason
    if st.button("Run them all", key=key, icon=":material/playlist_play:", disabled=not possible, help=reason):
        queue_all(wanted)


st.title("Published", anchor=False)
st.markdown(
    "What was published beside the runs of this server that did the same: the same network, phases and images. "
    "*Reproduced* means that the published accuracy lies within the range of these runs, widened by the 95 % interval "
    "that its own number of images allows. Accuracies are of the last epoch's validation, C1's of the "
    "test images. The seconds depend on the machine."
)
images_here = reads.where_images_are(CIFAR10) is not None
lacking = frozenset(recipe.id for recipe in RECIPES.values() if missing_weights(recipe.experiment))
finished = [run for run in reads.runs(archived=True) if run.state.is_finished]
# One number: Streamlit would take longer over thousands of values than the claims take.
found, random = judged(hash(tuple((run.id, run.version) for run in finished)), lacking, finished)
rows = table(found)
st.dataframe(
    rows.assign(verdict=rows["verdict"].map(lambda verdict: [verdict])),
    hide_index=True,
    height="content",
    column_config={
        **dict.fromkeys(NUMBERS, st.column_config.TextColumn(alignment="right")),
        "verdict": st.column_config.MultiselectColumn(options=list(COLOURS), color=list(COLOURS.values())),
        "recipe": st.column_config.TextColumn(width=190),
        "measured here": st.column_config.TextColumn(width=145, alignment="right"),
        "published time": st.column_config.TextColumn(width=260),
    },
    alt="Published and measured accuracies side by side",
)
with st.container(horizontal=True, gap="small"):
    pairs = [pair for claim in found for pair in claim.runs]
    for label in dict.fromkeys(label for run, phase in pairs for label in labels(run) + seconds_labels([phase])):
        st.badge(label, icon=":material/flag:", color="gray")
if inside := unfolded("Run everything", key="published.all", in_link=True):
    with inside:
        show_all()
section("Recipe by recipe")
for recipe in RECIPES.values():
    own = [claim for claim in found if claim.recipe.id == recipe.id]
    badges = " ".join(dict.fromkeys(map(badge, own)))
    if inside := unfolded(f"{recipe.title} {badges}", key=f"published.{recipe.id}", in_link=True):
        with inside:
            show_recipe(recipe, own)
