"""Many runs for one question: strategies on one clock, or the transfer map; each with several seeds."""

import shutil
from typing import Any

import streamlit as st

from cifar_core.analysis import groups as seeds_of
from cifar_core.analysis import race, transfer_map
from cifar_core.analysis.estimate import in_words
from cifar_core.analysis.history import Measured
from cifar_core.analysis.plan import Plan, estimate, groups
from cifar_core.analysis.verdict import Group, verdict
from cifar_core.analysis.wording import count, duration, status
from cifar_core.experiment.experiment import Data, Experiment
from cifar_core.experiment.measured import Run, State
from cifar_core.experiment.recipes import RECIPES
from cifar_core.experiment.record import ExperimentError
from cifar_core.experiment.settings import changed
from cifar_core.experiment.strategies import STRATEGIES, Choices, blocks_of, usual_last
from cifar_core.experiment.transfer_map import TransferMap, depths
from cifar_core.experiment.wording import class_list
from cifar_core.home import home
from cifar_core.ui import form, reads
from cifar_core.ui.page import is_dark, set_up
from cifar_core.ui.start import SPARE_BYTES, bytes_needed
from cifar_core.ui.text import plain

set_up("Plan")
SAMPLE, FORM, LINK = "sample", "form", "link"
VIEWS = {"strategies": "Strategies", "map": "Transfer map"}
USUAL = ("head", "last-block", "everything", "gradual", "lp-ft", "scratch")
MOST_COMPARED = 8
state, query = st.session_state, st.query_params
store = reads.store()
Found = dict[str, dict[int, Run]]


def bases() -> dict[str, Experiment]:
    """What a plan can be made of: the sample experiment, the form's settings, a link's, and the recipes."""
    known = {SAMPLE: form.FIRST}
    if "form.shown" in state:
        known[FORM] = state["form.shown"][1]
    if "plan.linked" in state:
        known[LINK] = state["plan.linked"]
    return known | {name: recipe.experiment for name, recipe in RECIPES.items()}


def on_sample(base: Experiment) -> Experiment:
    """The same on the built-in sample, which needs no download and takes seconds instead of minutes."""
    return changed(base, data=Data(name="sample"))


def open_link() -> None:
    """Take over what the address says, when it is new; otherwise keep what was chosen here before."""
    link = {name: query.get_all(name) for name in query}
    if link == state.get("plan.link") or (not link and "plan.chosen" in state):
        for key, value in state.get("plan.chosen", {}).items():
            state.setdefault(key, value)
        return
    state.pop("plan.linked", None)
    base, sample = (FORM if "form.shown" in state else SAMPLE), False
    if link.get("start") or link.get("set"):
        try:
            _, linked, _ = form.read_link(query.get("start", ""), query.get_all("set"), "")
        except ExperimentError as error:
            st.error(f"This link does not open a plan. {plain(str(error))}", icon=":material/link_off:")
        else:
            same = [name for name, known in bases().items() if known == linked]
            base, sample = (same or [LINK])[0], False
            if not same and (recipes := [name for name in RECIPES if on_sample(RECIPES[name].experiment) == linked]):
                base, sample = recipes[0], True
            if base == LINK:
                state["plan.linked"] = linked
    chosen = query.get("strategies", ",".join(USUAL)).split(",")
    state.update({"plan.base": base, "plan.sample": sample, "plan.seeds": whole("seeds", 3, 20)})
    state.update({f"plan.on.{name}": name in chosen for name in STRATEGIES})
    state.update({"plan.last": whole("last", 0, 10_000) or None, "plan.block": query.get("block")})
    state.update({"plan.baseline": query.get("baseline"), "plan.epochs": whole("epochs", 0, 10_000) or None})
    state["plan.view"] = query.get("view") if query.get("view") in VIEWS else "strategies"


def whole(name: str, otherwise: int, most: int) -> int:
    """A whole number of the address, within bounds."""
    text = query.get(name, "")
    return min(max(int(text), 1), most) if text.isdecimal() else otherwise


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
        "Seeds", 1, 20, key="plan.seeds", help="Each experiment is run with so many seeds: how much is luck?"
    )
    source, target = (class_list(base, classes) for classes in (base.split.source, base.split.target))
    st.caption(plain(f"{base.backbone_row.title} on {base.dataset.title}: {source} (A, source) → {target} (B, target)"))
    return base


def remember(base: Experiment, **own: Any) -> None:
    """Put the plan into the page's address, so that a reload or another device shows it again."""
    name = state["plan.base"]
    parameters: dict[str, Any] = form.link(name if name in RECIPES else form.SCRATCH, base, 0)
    parameters |= {"view": state["plan.view"], "seeds": str(state["plan.seeds"])}
    parameters |= {name: str(value) for name, value in own.items() if value}
    query.from_dict(parameters)
    state["plan.link"] = {name: query.get_all(name) for name in query}
    state["plan.chosen"] = {key: state[key] for key in state if str(key).startswith("plan.") and key not in OWN}


OWN = ("plan.link", "plan.chosen", "plan.linked", "plan.start", "plan.table", "plan.figure")


def start_all(plan: Plan) -> None:
    """Queue what is neither done nor waiting by now: a second click finds nothing to queue."""
    for wanted in plan.missing(plan.runs(store.runs())):
        store.submit(wanted.experiment, wanted.seed, wanted.name)
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
        if not missing:
            st.caption("All of them are done, under way or waiting. More seeds narrow down what is luck.")
        else:
            already = len(every) - len(missing)
            st.caption(
                (f"{already} of them are done or waiting already. " if already else "")
                + f"Time for {'the others' if already else 'all of them'}: "
                + in_words(estimate(missing, reads.runs(), reads.estimates()))
                + ". What begins alike is trained once."
            )
        data = every[0].experiment.data
        here = reads.images_of(data) is not None or reads.wait_for_a_run(data)
        existing = next(parent for parent in (home(), *home().parents) if parent.exists())
        room = shutil.disk_usage(existing).free > SPARE_BYTES + sum(bytes_needed(each.experiment) for each in missing)
        if not here:
            st.warning("The images are not here: get CIFAR-10 on the Experiment page, or choose the built-in sample.")
        if not room:
            st.warning("There is too little room on the disk: delete old runs on the Results page first.")
        st.button(
            f"Start {count(len(missing), 'run')}" if missing else "Nothing to start",
            type="primary",
            icon=":material/play_arrow:",
            disabled=not (missing and here and room),
            on_click=start_all,
            args=(plan,),
            key="plan.start",
        )


def standing(plan: Plan, found: Found) -> str:
    """How far the plan's runs are, in words."""
    runs = [found[wanted.title].get(wanted.seed) for wanted in plan]
    done = sum(run is not None and run.state is State.DONE for run in runs)
    waiting = sum(run is not None and run.state is State.QUEUED for run in runs)
    active = [f"{run.name}: {status(run)}" for run in runs if run is not None and run.state.is_active]
    return "; ".join([f"{done} of {count(len(runs), 'run')} done, {waiting} waiting", *active])


def moves(found: Found) -> bool:
    """Whether any run of the plan waits or trains."""
    return any(not run.state.is_finished for runs in found.values() for run in runs.values())


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
    if state.get("plan.block") not in blocks:
        state["plan.block"] = blocks[0]
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


def best_of(compared: list[Group], baseline: str | None) -> Group | None:
    """The best group but the baseline's."""
    return max((each for each in compared if each.title != baseline), key=lambda each: each.mean, default=None)


def show_race(found: Found, baseline: str) -> None:
    """The race, the verdict and what every strategy has reached."""
    begun: dict[str, list[Measured]] = {
        title: [(run, reads.history(run.id)) for run in runs.values() if run.state is not State.QUEUED]
        for title, runs in found.items()
    }
    st.vega_lite_chart(
        race.chart(begun, dark=is_dark()),
        key="plan.race",
        alt="Validation accuracy over seconds of each strategy; the results stand in the table below",
    )
    stage = [race.tuning_starts(*measured) for runs in begun.values() for measured in runs]
    shared = duration(max(stage, default=0.0))
    st.caption(
        f"Thick lines are means over seeds, thin ones single seeds. The clock starts with the target classes; the "
        f"training before, which all but “from scratch” share, took {shared}."
        if max(stage, default=0.0)
        else "Thick lines are means over seeds, thin ones single seeds."
    )
    compared = groups(found)
    if not compared:
        st.caption("No run is done yet: the verdict follows.")
        return
    base = next((group for group in compared if group.title == baseline), None)
    best = best_of(compared, baseline)
    if base is not None:
        near = [run for group in (base, best) if group for run in group.runs]
        kept = {run.id: reads.predictions(run.id, "test") for run in near}
        predictions = {run: found for run, found in kept.items() if found is not None}
        first, _, limits = verdict(
            [run for each in compared for run in each.runs], base.runs[0].id, predictions
        ).partition("\n")
        st.markdown(f"#### {plain(first)}")
        set_against = seeds_of.against(best, base, predictions) if best else None
        for sentence in set_against.in_words if set_against else []:
            st.markdown(plain(sentence))
        st.markdown(plain(limits))
    else:
        st.caption(f"The baseline, “{baseline}”, is not done yet: the verdict follows.")
    seconds = {run.id: race.tuning_seconds(run, history) for runs in begun.values() for run, history in runs}
    rows = seeds_of.table(compared, baseline, seconds=seconds)
    st.dataframe(seeds_of.shown(rows), hide_index=True, height="content", alt="The strategies side by side")
    alike = [group.runs[0] for group in compared][:MOST_COMPARED]
    if len(alike) > 1:
        st.page_link(
            "pages/4_Compare.py",
            label="Compare a run of each",
            icon=":material/compare_arrows:",
            query_params={
                "runs": ",".join(run.id for run in alike),
                "baseline": (base.runs[0] if base in compared[:MOST_COMPARED] and base else alike[0]).id,
            },
        )


def strategies(base: Experiment) -> None:
    """Choose, start, watch the race."""
    plan = choose_strategies(base)
    if not plan.experiments:
        st.info("Choose at least one strategy.", icon=":material/checklist:")
        remember(base, strategies=",", last=state["plan.last"], block=state["plan.block"])
        return
    if state.get("plan.baseline") not in plan.titles.values():
        scratch = STRATEGIES["scratch"].title
        state["plan.baseline"] = scratch if scratch in plan.titles.values() else next(iter(plan.experiments))
    found = plan.runs(reads.runs())
    start_panel(plan, found)
    names = [name for name in STRATEGIES if state[f"plan.on.{name}"]]
    st.subheader("The race")
    baseline = st.selectbox("Baseline", list(plan.titles.values()), key="plan.baseline")
    remember(base, strategies=",".join(names), last=state["plan.last"], block=state["plan.block"], baseline=baseline)
    moving = moves(found)

    @st.fragment(run_every=1.0 if moving else None)
    def watch() -> None:
        """Look once a second as long as something moves; then once more as a whole page, and rest."""
        now = plan.runs(reads.runs())
        st.markdown(plain(standing(plan, now)))
        show_race(now, baseline)
        if moving and not moves(now):
            st.rerun()

    watch()


def show_map(map: TransferMap, found: Found) -> None:
    """The figure, what it says, its table, and the runs of the point that is selected in either."""
    rows = transfer_map.table(map, found)
    left, right = st.columns([3, 2])
    with left:
        clicked = st.plotly_chart(
            transfer_map.figure(map, rows, dark=is_dark()),
            key="plan.figure",
            theme=None,
            on_select="rerun",
            selection_mode="points",
            config={"displayModeBar": False},
            alt="Test accuracy on B over the number of blocks copied; the same numbers stand in the table beside",
        )
        st.caption("Bands are the spread over seeds, ± one standard deviation. The accuracy axis does not start at 0.")
        for sentence in transfer_map.findings(map, rows):
            st.markdown(f"- {plain(sentence)}")
    with right:
        picked = st.dataframe(
            transfer_map.shown(rows),
            hide_index=True,
            height=_TABLE_HEIGHT,
            key="plan.table",
            on_select="rerun",
            selection_mode="single-row",
            alt="The points of the map",
        )
    points = [point["customdata"][0] for point in clicked["selection"]["points"] if point.get("customdata")]
    points += [rows["point"].iloc[row] for row in picked["selection"]["rows"]]
    if not points:
        st.caption("Click a point, or a row of the table, to see its runs.")
    for point in dict.fromkeys(points):
        st.markdown(f"**{point}**")
        own = [run for _, run in sorted(found.get(point, {}).items())]
        run_links(own)
        if not own:
            st.caption("None has been started.")


_TABLE_HEIGHT = 500  # pixels


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
    if not depths(base.backbone_row):
        st.info(
            f"{plain(base.backbone_row.title)} branches inside: its blocks cannot start anew one by one. Choose a base "
            "with a network whose layers stand in a row.",
            icon=":material/account_tree:",
        )
        remember(base)
        return
    if not state.get("plan.epochs"):
        state["plan.epochs"] = base.phases[0].epochs
    left.number_input("Epochs of every training", 1, 10_000, key="plan.epochs")
    map = TransferMap.of(base, state["plan.epochs"])
    plan = transfer_map.plan(map, state["plan.seeds"])
    found = plan.runs(reads.runs())
    start_panel(plan, found)
    remember(base, epochs=state["plan.epochs"])
    moving = moves(found)

    @st.fragment(run_every=2.0 if moving else None)
    def watch() -> None:
        """Look every other second as long as something moves; then once more as a whole page, and rest."""
        now = plan.runs(reads.runs())
        st.markdown(plain(standing(plan, now)))
        show_map(map, now)
        if moving and not moves(now):
            st.rerun()

    watch()


st.title("Plan")
st.markdown("Many runs for one question, queued with one click, with seeds enough to tell a difference from luck.")
open_link()
base = choose_base()
view = st.segmented_control(
    "Plan", list(VIEWS), format_func=VIEWS.__getitem__, key="plan.view", required=True, label_visibility="collapsed"
)
try:
    if view == "strategies":
        strategies(base)
    else:
        the_map(base)
except ExperimentError as error:
    st.error(plain(str(error)), icon=":material/error:")
