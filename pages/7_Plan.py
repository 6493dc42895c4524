"""Many runs for one question: strategies on one clock, or the transfer map; each with several seeds."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

import pandas as pd
import streamlit as st

from cifar_core.analysis import race, starting_networks, transfer_map
from cifar_core.analysis.comparison import one_machine, other_machines
from cifar_core.analysis.groups import table as groups_table
from cifar_core.analysis.labels import flags
from cifar_core.analysis.plan import Found, Plan, groups, is_moving, one_of_each
from cifar_core.analysis.plan_link import GUESS, MAP, MOST_SEEDS, PARAMETERS, VIEWS, PlanLink, refusal
from cifar_core.analysis.starting_networks import Source
from cifar_core.analysis.wording import count, status
from cifar_core.data.folders import shortened
from cifar_core.data.weights import imagenet_file
from cifar_core.experiment import links
from cifar_core.experiment.backbones import BACKBONES
from cifar_core.experiment.experiment import Data, Experiment
from cifar_core.experiment.links import Query
from cifar_core.experiment.measured import Run, State
from cifar_core.experiment.recipes import RECIPES
from cifar_core.experiment.record import ExperimentError
from cifar_core.experiment.settings import changed
from cifar_core.experiment.strategies import STRATEGIES, Choices, Start, blocks_of, usual_last
from cifar_core.experiment.transfer_map import TransferMap
from cifar_core.experiment.wording import class_list
from cifar_core.home import home
from cifar_core.runs import inspect
from cifar_core.runs.room import NO_ROOM
from cifar_core.ui import people, reads
from cifar_core.ui.export import draw, figures_as, offer_tables, save_chart
from cifar_core.ui.glossary import help_for
from cifar_core.ui.page import is_dark, section, set_up, unfolded
from cifar_core.ui.seeds import show_groups
from cifar_core.ui.start import has_images, has_room, no_images
from cifar_core.ui.text import plain

set_up("Plan")
SAMPLE, FORM, LINK = "sample", "form", "link"
MOST_COMPARED = 8
MOST_GUESSED = 12
TABLE_HEIGHT = 500  # pixels
NOT_CHOSEN = ("plan.link", "plan.new", "plan.chosen", "plan.linked", "plan.start", "plan.figure")
state, query = st.session_state, st.query_params
store = reads.store()


def bases() -> dict[str, Experiment]:
    """What a plan can be made of: the sample experiment, the form's settings, a link's, and the recipes."""
    known = {SAMPLE: links.FIRST}
    if "form.shown" in state:
        known[FORM] = state["form.shown"][1]
    if "plan.linked" in state:
        known[LINK] = state["plan.linked"]
    return known | {name: recipe.experiment for name, recipe in RECIPES.items()}


def on_sample(base: Experiment) -> Experiment:
    """The same on the built-in sample, which needs no download and takes seconds instead of minutes."""
    return changed(base, data=Data(name="sample"))


def address() -> Query:
    """What the address says about the plan."""
    said = {name: query.get_all(name) for name in PARAMETERS}
    said["view"] = links.views(said)
    return {name: values for name, values in said.items() if values}


def open_link() -> None:
    """Take over what the address says, when it is new; otherwise keep what was chosen here before."""
    said = address()
    if said == state.get("plan.link") or (not said and "plan.chosen" in state):
        for key, value in state.get("plan.chosen", {}).items():
            state.setdefault(key, value)
        return
    link = PlanLink.of(said)
    if link.refused:
        st.error(f"This link does not open a plan. {plain(link.refused)}", icon=":material/link_off:")
    for problem in link.problems:
        st.warning(plain(problem), icon=":material/link_off:")
    state.pop("plan.linked", None)
    state["plan.new"] = True
    state["plan.base"], state["plan.sample"] = linked_base(link.experiment)
    state.update({f"plan.on.{name}": name in link.strategies for name in STRATEGIES})
    for part in ("view", "seeds", "last", "block", "baseline", "epochs", "point", "networks", "way"):
        state[f"plan.{part}"] = getattr(link, part)


def linked_base(experiment: Experiment | None) -> tuple[str, bool]:
    """Which base a link means, and whether on the sample."""
    if experiment is None:
        return (FORM if "form.shown" in state else SAMPLE), False
    known = bases()
    on_samples = {name: on_sample(known[name]) for name in RECIPES}
    for sample, among in ((False, known), (True, on_samples)):
        for name, base in among.items():
            if base == experiment:
                return name, sample
    state["plan.linked"] = experiment
    return LINK, False


def choose_base() -> Experiment:
    """The experiment that the plan varies."""
    known = bases()
    titles = {
        SAMPLE: "The sample experiment",
        FORM: "The Experiment page's settings",
        LINK: "The settings of this link",
    } | {name: f"Recipe {recipe.title}" for name, recipe in RECIPES.items()}
    if state["plan.base"] not in known:
        state["plan.base"] = SAMPLE
    left, middle, right = st.columns([5, 2, 2], vertical_alignment="bottom")
    name = left.selectbox("Base experiment", list(known), format_func=titles.__getitem__, key="plan.base")
    base = known[name]
    if base.data.name == "cifar10":
        here = reads.where_images_are(base.data) is not None
        if not here:
            state["plan.sample"] = True
        middle.toggle(
            "On the sample",
            key="plan.sample",
            disabled=not here,
            help="The built-in images instead of CIFAR-10: seconds instead of minutes. "
            + ("" if here else "CIFAR-10 is not on this computer; the Experiment page gets it."),
        )
        base = on_sample(base) if state["plan.sample"] else base
    right.number_input(
        "Seeds", 1, MOST_SEEDS, key="plan.seeds", help="Each experiment is run with so many seeds: how much is luck?"
    )
    source, target = (class_list(base, classes) for classes in (base.split.source, base.split.target))
    st.caption(plain(f"{base.backbone_row.title} on {base.dataset.title}: {source} (A, source) → {target} (B, target)"))
    return base


def remember(base: Experiment, **own: Any) -> None:
    """Put the plan into the page's address, so that a reload or another device shows it again."""
    name = state["plan.base"]
    parameters: dict[str, Any] = links.link(name if name in RECIPES else links.SCRATCH, base, 0)
    parameters |= {"view": [*people.carried().get("view", ()), state["plan.view"]], "seeds": str(state["plan.seeds"])}
    parameters |= {name: str(value) for name, value in own.items() if value}
    for name in PARAMETERS:
        if name in query and name not in parameters:
            del query[name]
    query.update(parameters)
    keep()


def keep() -> None:
    """Keep what the address says by now, and what is chosen, for a look at other pages in between."""
    state["plan.link"], state["plan.new"] = address(), False
    state["plan.chosen"] = {key: state[key] for key in state if str(key).startswith("plan.") and key not in NOT_CHOSEN}


def settle(part: str, allowed: Sequence[str], otherwise: str | None) -> None:
    """Have something chosen that there is; say it where the link asked for something else."""
    key = f"plan.{part}"
    if state.get(key) not in allowed:
        if state.get("plan.new") and state.get(key):
            st.warning(plain(refusal(part, state[key], allowed)), icon=":material/link_off:")
        state[key] = otherwise


def start_all(plan: Plan) -> None:
    """Queue what is neither done nor waiting by now: a second click finds nothing to queue."""
    for wanted in plan.missing(plan.runs(store.runs(), reads.images_now(plan.data))):
        people.submit(wanted.experiment, wanted.seed, wanted.name)
    reads.runs.clear()


def start_panel(plan: Plan, found: Found) -> None:
    """How many runs there are, how long they will take, and one button for all of them."""
    missing, every = plan.missing(found), list(plan)
    with st.container(border=True):
        st.markdown(
            f"**{count(len(every), 'run')}: {count(len(plan.titles), 'experiment')} × {count(plan.seeds, 'seed')}**"
        )
        if plan.doubles:
            alike = ", ".join(f"“{title}” as “{other}”" for title, other in plan.doubles.items())
            st.caption(f"The same here, and run once: {alike}.")
        st.caption(plan.outlook(found, reads.runs(), reads.estimates()))
        data = every[0].experiment.data
        here, room = has_images(data), has_room(each.experiment for each in missing)
        reason = people.why_not_start(len(missing))
        if not here:
            st.warning(no_images(data))
        if not room:
            st.warning(NO_ROOM)
        st.button(
            f"Start {count(len(missing), 'run')}" if missing else "Nothing to start",
            type="primary",
            icon=":material/play_arrow:",
            disabled=not (missing and here and room) or bool(reason),
            help=reason,
            on_click=start_all,
            args=(plan,),
            key="plan.start",
        )


def watch(plan: Plan, moving: bool, show: Callable[[Found], None], *, every: float) -> None:
    """Show the plan's runs anew every so many seconds as long as something moves; then the whole page, and rest."""
    images = reads.images_now(plan.data)

    @st.fragment(run_every=every if moving else None)
    def look() -> None:
        now = plan.runs(reads.runs(), images)
        st.markdown(plain(plan.standing(now)))
        show(now)
        if moving and not is_moving(now):
            st.rerun()

    look()


def run_links(runs: list[Run]) -> None:
    """Links to runs, those that are done to their results."""
    for run in runs:
        page = "pages/3_Results.py" if run.state.is_finished else "pages/2_Live.py"
        st.page_link(
            page, label=plain(f"{run.name}: {status(run)}"), icon=":material/open_in_new:", query_params={"run": run.id}
        )


def choose_strategies(base: Experiment) -> Plan:
    """The strategies of the plan, each with what it does and where it comes from."""
    blocks, usual = blocks_of(base), usual_last(base)
    layers = len(base.networks[-1].layers)
    settle("block", blocks, blocks[0])
    state["plan.last"] = min(state.get("plan.last") or usual, layers)
    experiments = {}
    for place, (name, strategy) in enumerate(STRATEGIES.items()):
        if place % 2 == 0:
            columns = st.columns(2)
        with columns[place % 2].container(border=True, height="stretch"):
            words, choice = st.columns([3, 1]) if name in ("last-layers", "one-block") else (st.container(), None)
            with words:
                chosen = st.checkbox(f"**{strategy.title}**", key=f"plan.on.{name}")
                st.caption(f"{strategy.sentence} *{strategy.source}*")
            if choice and name == "last-layers":
                choice.number_input("Layers", 1, layers, key="plan.last")
            elif choice:
                choice.selectbox("Block", blocks, key="plan.block")
        if chosen:
            choices = Choices(state["plan.last"], state["plan.block"])
            experiments[strategy.title] = strategy.experiment(base, choices)
    return Plan(experiments, state["plan.seeds"])


def show_race(found: Found, baseline: str) -> None:
    """The race, the verdict and what every strategy has reached."""
    begun = {
        title: [(run, reads.history(run.id)) for run in runs.values() if run.state is not State.QUEUED]
        for title, runs in found.items()
    }
    measured = [each for runs in begun.values() for each in runs]
    st.vega_lite_chart(
        race.chart(begun, dark=is_dark()),
        key="plan.race",
        alt="Validation accuracy over seconds of each strategy; the table that unfolds below has the same numbers",
    )
    raced = [run for run, _ in measured]
    st.caption(plain(" ".join(filter(None, [race.about(begun), one_machine(raced), flags(raced)]))))
    save_chart(lambda: race.chart(begun), "race", key="plan.race.svg")
    if measured and (inside := unfolded("The race as a table", key="fold.race", in_link=True)):
        means = race.shown(race.means(race.lines(begun)))
        inside.dataframe(means, hide_index=True, alt="The means over seeds of each strategy, epoch by epoch")
    if warning := other_machines(raced):
        st.warning(plain(warning), icon=":material/flag:")
    tables: dict[str, Callable[[], pd.DataFrame]] = {
        "means": lambda: race.exported(race.means(race.lines(begun)), begun),
        "seeds": lambda: race.exported(race.lines(begun), begun),
    }
    if compared := groups(found):
        seconds = {run.id: race.tuning_seconds(run, history) for run, history in measured}
        show_groups(compared, baseline, seconds=seconds, alt="The strategies side by side")
        runs, against = one_of_each(compared, baseline, MOST_COMPARED)
        if len(runs) > 1:
            st.page_link(
                "pages/4_Compare.py",
                label="Compare a run of each",
                icon=":material/compare_arrows:",
                query_params={"runs": ",".join(runs), "baseline": against},
            )
        histories = {run.id: history for run, history in measured}
        tables["groups"] = lambda: groups_table(compared, baseline, seconds=seconds, histories=histories).reset_index()
    else:
        st.caption("No run is done yet: the verdict follows.")
    if measured:
        offer_tables(tables, "race")


def choose_baseline(plan: Plan) -> str:
    """The strategy that the others are set against: from scratch, where it is among them and no other is named."""
    titles = list(plan.titles.values())
    scratch = STRATEGIES["scratch"].title
    settle("baseline", titles, scratch if scratch in titles else titles[0])
    chosen: str = st.selectbox("Baseline", titles, key="plan.baseline")
    return chosen


def strategies(base: Experiment) -> None:
    """Choose, start, watch the race."""
    plan = choose_strategies(base)
    choices = {"last": state["plan.last"], "block": state["plan.block"]}
    if not plan.experiments:
        st.info("Choose at least one strategy.", icon=":material/checklist:")
        remember(base, strategies=",", **choices)
        return
    found = plan.runs(reads.runs(), reads.images_now(plan.data))
    start_panel(plan, found)
    section("The race")
    baseline = choose_baseline(plan)
    names = [name for name in STRATEGIES if state[f"plan.on.{name}"]]
    remember(base, strategies=",".join(names), **choices, baseline=baseline)
    watch(plan, is_moving(found), lambda now: show_race(now, baseline), every=1.0)
    lead_to_lecture()


def show_map(map: TransferMap, found: Found) -> None:
    """The figure, what it says, its table, and the runs of the point that is chosen in the figure or by name."""
    rows = transfer_map.table(map, found)
    left, right = st.columns([3, 2])
    with left:
        draw(
            transfer_map.figure(map, rows, chosen=state["plan.point"], dark=is_dark()),
            "transfer-map",
            key="plan.figure",
            on_select=choose_point,
            selection_mode="points",
            alt="Test accuracy on B over the number of blocks copied; the same numbers stand in the table beside",
        )
        st.caption("Bands are the spread over seeds, ± one standard deviation. The accuracy axis need not start at 0.")
        if said := flags(run for runs in found.values() for run in runs.values()):
            st.caption(said)
        figures_as()
        for sentence in transfer_map.findings(map, rows):
            st.markdown(f"- {plain(sentence)}")
    with right:
        st.dataframe(transfer_map.shown(rows), hide_index=True, height=TABLE_HEIGHT, alt="The points of the map")
    point: str | None = st.selectbox(
        "Runs of",
        rows["point"],
        index=None,
        key="plan.point",
        placeholder="Click a point of the map, or choose it here",
        width=400,
    )
    if point != query.get("point"):
        remember_point(point)
    if point:
        own = [run for _, run in sorted(found.get(point, {}).items())]
        run_links(own)
        if not own:
            st.caption("None has been started.")
    offer_tables({"points": lambda: transfer_map.exported(rows)}, "transfer-map")


def choose_point() -> None:
    """Take over the point of the map that was clicked on; a second click takes the choice back."""
    clicked = [each["customdata"][0] for each in state["plan.figure"].selection.points if each.get("customdata")]
    point = next(iter(clicked), None)
    state["plan.point"] = None if point == state["plan.point"] else point


def remember_point(point: str | None) -> None:
    """Put the point of the map into the page's address: a look at the map alone does not draw the whole page."""
    if point:
        query["point"] = point
    else:
        del query["point"]
    keep()


def lead_to_lecture() -> None:
    """Lead to a lecture about the plan as its address says it."""
    st.page_link(
        "pages/10_Lecture.py",
        label="Show this in a lecture",
        icon=":material/co_present:",
        query_params=state["plan.link"],
    )


def the_map(base: Experiment) -> None:
    """Choose, start, watch it fill in."""
    left, right = st.columns([1, 2], vertical_alignment="bottom")
    with right.popover("What is this?", icon=":material/help:"):
        st.markdown(
            "How general is what each block has learned (Yosinski et al. 2014)? A network trained on **A**, the source "
            "classes, or on **B**, the target classes, lends its first *n* blocks to a new network for B; the other "
            "blocks start at random. **AnB** and **BnB** keep the borrowed blocks frozen, **AnB+** and **BnB+** "
            "fine-tune them. Where AnB falls below BnB, the blocks are specific to A; where BnB falls below baseB, "
            "blocks that had learned to work together were cut apart."
        )
    if not state.get("plan.epochs"):
        state["plan.epochs"] = base.phases[0].epochs
    left.number_input("Epochs of every training", 1, 10_000, key="plan.epochs")
    map = TransferMap.of(base, state["plan.epochs"])
    settle("point", [point.title for point in map.experiments], None)
    plan = transfer_map.plan(map, state["plan.seeds"])
    found = plan.runs(reads.runs(), reads.images_now(plan.data))
    start_panel(plan, found)
    remember(base, epochs=state["plan.epochs"], point=state["plan.point"])
    watch(plan, is_moving(found), lambda now: show_map(map, now), every=2.0)
    lead_to_lecture()


def choose_starts(base: Experiment) -> list[Source] | None:
    """The starting networks to guess about; None where there are none to choose from."""
    with_imagenet = [
        name
        for name, row in BACKBONES.items()
        if row.application and row.application.imagenet and imagenet_file(row.application).exists()
    ]
    known = starting_networks.sources([run for run in reads.runs() if reads.has_model(run)], base, with_imagenet)
    take_over_networks(known)
    if not known:
        st.info(
            "No run here has been trained on source classes for images of this size, and no ImageNet weights are on "
            "this computer.",
            icon=":material/hub:",
        )
        st.page_link("pages/1_Experiment.py", label="Go to the experiment form", icon=":material/tune:")
        return None
    chosen = st.multiselect(
        "Starting networks",
        list(known),
        format_func=lambda key: known[key].title,
        key="plan.guessed",
        max_selections=MOST_GUESSED,
        help="Networks as they were before the target classes: of runs that are done, and ImageNet's where its weights "
        "are on this computer.",
    )
    return [known[key] for key in chosen]


def take_over_networks(known: dict[str, Source]) -> None:
    """Have starting networks chosen that there are: those of a link, those chosen before, or the first ones."""
    named = state.pop("plan.networks", None)
    if state.get("plan.new"):
        keys = starting_networks.keys_of(named or (), known, reads.runs())
        if gone := [name for name in named or () if name not in keys]:
            words = f"The link names starting networks that are not here: {shortened(gone)}."
            st.warning(plain(words), icon=":material/link_off:")
        state["plan.guessed"] = list(known if named is None else dict.fromkeys(keys.values()))[:MOST_GUESSED]
    state["plan.guessed"] = [key for key in state.get("plan.guessed", known) if key in known][:MOST_GUESSED]


def a_guess(base: Experiment) -> None:
    """Guess which starting network suits the target classes, before training; and what came of it."""
    st.markdown(
        "Which network to start from? A guess takes seconds, before any training on the target classes: "
        "how well do the features that each network already has tell them apart?",
        help=help_for("LogME"),
    )
    ways = starting_networks.outcomes(reads.runs(), base, reads.images_now(base.data))
    settle("way", list(ways), next(iter(ways), None))
    chosen = choose_starts(base)
    names = None if chosen is None else ",".join(each.name for each in chosen) or ","
    remember(base, networks=names, way=state["plan.way"])
    if not chosen:
        return
    opened = reads.images_of(base.data)
    if opened is None:
        st.warning(no_images(base.data))
        return
    head = Start.of(base).tuning.head
    asked = home(), base, opened.fingerprint, head.from_layer if head else "output"
    found = inspect.kept_guesses(*asked, [each.start for each in chosen])
    missing = [each.start for each in chosen if each.start not in found]
    pressed = st.button(
        f"Guess for {count(len(missing), 'network')}" if missing else "Nothing to compute",
        type="primary",
        icon=":material/bolt:",
        disabled=not missing,
        key="guess.start",
    )
    if pressed:
        try:
            with st.spinner("Looking at what the networks make of the images …", show_time=True):
                found |= inspect.guesses(*asked, missing)
            if not any(each.error for each in found.values()):
                st.rerun()  # so that the button says what is left
        except inspect.InspectionFailed as error:
            st.error(plain(str(error)), icon=":material/error:")
    guessed = [(each, found[each.start]) for each in chosen if each.start in found]
    for each, guess in guessed:
        if guess.error:
            st.warning(plain(f"{each.title}: {guess.error}"), icon=":material/flag:")
    show_guesses(
        {each.key: each.title for each in chosen},
        {each.key: asdict(guess) for each, guess in guessed if not guess.error},
        ways,
    )


def show_guesses(
    titles: dict[str, str], guesses: dict[str, dict[str, Any]], ways: dict[str, dict[str, list[Run]]]
) -> None:
    """The guesses as a table and bars, and beside them what came of it."""
    if not guesses:
        st.caption("Nothing has been guessed of these networks yet.")
        return
    if len(ways) > 1:
        st.selectbox("Set against runs fine-tuned by", list(ways), key="plan.way")
    way = state["plan.way"]
    outcomes = ways[way] if way else {}
    rows = starting_networks.table(titles, guesses, outcomes)
    st.dataframe(
        starting_networks.shown(rows),
        hide_index=True,
        height="content",
        alt="The starting networks, the best guess first",
    )
    if said := flags(run for key in rows.index for run in outcomes.get(key, ())):
        st.caption(said)
    bars, scatter = st.columns(2, gap="large")
    with bars:
        st.markdown("**The guess**")
        draw(
            starting_networks.guess_figure(rows, dark=is_dark()),
            "guess",
            key="guess.bars",
            alt="LogME of each starting network; the same numbers stand in the table",
        )
    with scatter:
        st.markdown("**What came of it**")
        show_what_came(rows, way)
    offer_tables({"networks": rows.reset_index}, "guess")


def show_what_came(rows: pd.DataFrame, way: str | None) -> None:
    """What the guessed networks have reached, fine-tuned in one way, against the guess."""
    if way is None:
        st.caption("No run has been fine-tuned on these classes and images yet.")
        return
    if rows["accuracy"].notna().any():
        draw(
            starting_networks.outcome_figure(rows, dark=is_dark()),
            "guess and outcome",
            key="starting_networks.outcomes",
            alt="Measured accuracy against the guess; the same numbers stand in the table",
        )
    st.caption(plain(f"Fine-tuned: {way}; the mean where several runs did so."))
    st.markdown(plain(starting_networks.agreement(rows)))


st.title("Plan", anchor=False)
st.markdown("Many runs for one question, queued with one click, with seeds enough to tell a difference from luck.")
open_link()
base = choose_base()
view = st.segmented_control(
    "Plan", list(VIEWS), format_func=VIEWS.__getitem__, key="plan.view", required=True, label_visibility="collapsed"
)
try:
    if view == MAP:
        the_map(base)
    elif view == GUESS:
        a_guess(base)
    else:
        strategies(base)
except ExperimentError as error:
    st.error(plain(str(error)), icon=":material/error:")
