"""A lecture: a question, the hall's guesses, the curves as they came, and what won. One link each for both sides.

Without a key or a lecture in its address, the page makes the two links.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from cifar_core.analysis import groups as seeds_of
from cifar_core.analysis import guesses, race, recording
from cifar_core.analysis.answers import three_answers
from cifar_core.analysis.history import Measured
from cifar_core.analysis.linked import by_experiment, plan_of
from cifar_core.analysis.plan import Plan, groups
from cifar_core.analysis.recording import SPEEDS, WHOLE
from cifar_core.analysis.wording import count, duration, status
from cifar_core.experiment import links
from cifar_core.experiment.experiment import Experiment
from cifar_core.experiment.links import Query
from cifar_core.experiment.measured import Run, State
from cifar_core.experiment.record import ExperimentError
from cifar_core.experiment.strategies import STRATEGIES
from cifar_core.experiment.wording import class_list, trained_share
from cifar_core.runs.errors import UnknownRun
from cifar_core.ui import lecture as lectures
from cifar_core.ui import people, reads
from cifar_core.ui.lecture import PARTS, STEPS, Lecture, Look, Standing
from cifar_core.ui.page import is_dark, set_up
from cifar_core.ui.text import plain

DEFAULT = {"strategies": ["head,everything,scratch"], "seeds": ["1"]}
MOST_SHOWN = 8
CARDS_IN_A_ROW = 3
SPEED_NAMES = {speed: f"{speed}×" for speed in SPEEDS} | {WHOLE: "in 30 s"}
Found = dict[str, dict[int, Run]]
state = st.session_state


class Subject:
    """What a lecture shows: chosen runs, or the runs of a plan, by title and seed."""

    def __init__(self, query: Query):
        self.ids = links.first(query, "runs").split(",") if query.get("runs") else []
        self.plan: Plan | None = None if self.ids else plan_of(query)

    def recorded(self) -> Found:
        """Return its runs that are done, under way or waiting."""
        if self.plan is not None:
            return self.plan.runs(reads.runs())
        known = {run.id: run for run in reads.runs(archived=True)}
        if unknown := [id for id in self.ids if id not in known]:
            raise UnknownRun(unknown[0], known)
        return by_experiment([known[id] for id in self.ids])

    def experiments(self) -> dict[str, Experiment]:
        """Return its experiments by title."""
        if self.plan is not None:
            return {title: self.plan.experiments[title] for title in self.plan.titles.values()}
        return {title: next(iter(runs.values())).experiment for title, runs in self.recorded().items()}

    def shown(self, standing: Standing) -> Found:
        """Return the runs that the lecture shows where it stands: the recorded ones, or those that train for it."""
        if not standing.shows_live:
            return self.recorded()
        known = {run.id: run for run in reads.runs(archived=True)}
        return {
            title: {known[id].seed: replace(known[id], name=title)} if id in known else {}
            for title, id in standing.live
        }


def racers_of(found: Found) -> dict[str, list[Measured]]:
    """Return what the runs that have begun measured so far."""
    return {
        title: [(run, reads.history(run.id)) for run in runs.values() if run.state is not State.QUEUED]
        for title, runs in found.items()
    }


def server() -> str:
    """The address under which this page was opened, without the page."""
    parts = urlsplit(st.context.url or "")
    return links.taken_apart(f"{parts.scheme}://{parts.netloc}{parts.path}")[0] if parts.netloc else ""


# --- making the links


def choose(query: Query) -> None:
    """Choose what is shown and how, and hand out the links."""
    st.title("Lecture", anchor=False)
    st.markdown(
        "Ask, let the hall guess, show the curves as they came, reveal: on the projector and on everybody's phone at "
        "once, from runs recorded beforehand or trained on the spot."
    )
    subject = {name: query[name] for name in lectures.SUBJECT if query.get(name)} or DEFAULT
    finished = {run.id: run for run in reads.runs() if run.state is State.DONE}
    named = [id for id in links.first(subject, "runs").split(",") if id in finished]
    runs = st.multiselect(
        "Runs, if not a plan's strategies",
        list(finished),
        default=named,
        format_func=lambda id: finished[id].name,
        max_selections=MOST_SHOWN,
        key="lecture.runs",
        placeholder="The strategies below",
    )
    subject = {"runs": [",".join(runs)]} if runs else {name: subject[name] for name in subject if name != "runs"}
    subject = subject or DEFAULT
    shown = Subject(subject)
    st.markdown(" · ".join(f"**{plain(title)}**" for title in shown.experiments()))
    standing_of(shown, subject)
    look = Look.of(query)
    left, right = st.columns(2)
    title = left.text_input("Question", look.title, key="lecture.title", max_chars=200)
    hidden = right.multiselect(
        "Hidden", list(PARTS), default=look.hidden, format_func=PARTS.__getitem__, key="lecture.hidden"
    )
    type_ = left.slider("Type, percent", lectures.LEAST_TYPE, lectures.MOST_TYPE, look.type, 10, key="lecture.type")
    with right:
        speed = choose_speed("Speed of replays", look, key="lecture.speed")
    look = Look(title.strip() or lectures.TITLE, type_, tuple(hidden), speed)
    if "lecture.key" not in state:
        state["lecture.key"] = links.lecture_links({})[0]["key"][0]
    key = state["lecture.key"]
    everything = subject | look.query
    st.query_params.from_dict(everything | people.carried())
    presenter = links.presenter(everything, key)
    with st.container(border=True):
        st.markdown("**The presenter's link** moves all who watch from step to step. Keep it to yourself.")
        st.code(links.address(server(), "Lecture", presenter), language=None, wrap_lines=True)
        st.button(
            "Present now",
            icon=":material/co_present:",
            type="primary",
            on_click=st.query_params.from_dict,
            args=(flat(presenter) | people.carried(),),
        )
    with st.container(border=True):
        st.markdown("**The audience's link**, also shown with a code in the lecture. It opens once you present.")
        audience_link(links.lecture_of(key))
        if urlsplit(server()).hostname in ("localhost", "127.0.0.1", "::1"):
            st.caption(
                "“localhost” is this computer alone. Open this page under the computer's name or address in the "
                "hall's network, and both links follow."
            )


def choose_speed(label: str, look: Look, *, key: str, **options: Any) -> str:
    """How fast a recording is shown."""
    chosen: str = st.segmented_control(
        label,
        list(SPEED_NAMES),
        format_func=SPEED_NAMES.__getitem__,
        default=look.speed,
        required=True,
        key=key,
        **options,
    )
    return chosen


def standing_of(shown: Subject, subject: Query) -> None:
    """Say whether everything is recorded, and what to do where it is not."""
    if shown.plan is None:
        return
    missing = shown.plan.missing(shown.recorded())
    waiting = sum(run.state is not State.DONE for runs in shown.recorded().values() for run in runs.values())
    if not missing and not waiting:
        st.caption("All of it is recorded on this server. No network is needed.")
        return
    st.info(
        f"{count(len(missing) + waiting, 'run')} of {len(list(shown.plan))} not recorded yet. Start them on the Plan "
        "page, or let `prepare` record everything and check that it works without a network:",
        icon=":material/inventory:",
    )
    st.code(f"python -m cifar_core prepare '{links.address('', 'Lecture', subject)}'", language=None, wrap_lines=True)
    st.page_link("pages/7_Plan.py", label="Open the plan", icon=":material/checklist:", query_params=flat(subject))


def flat(query: Query) -> dict[str, str | list[str]]:
    """Return parameters as Streamlit takes them."""
    return {name: values if len(values) > 1 else values[0] for name, values in query.items()}


def audience_link(id: str, *, large: bool = True) -> None:
    """Show the audience's link as a code, and a large one as words, too."""
    address = links.address(server(), "Lecture", {"lecture": [id]})
    lectures.code(address, "11rem" if large else "8rem")
    if large:
        st.code(address, language=None, wrap_lines=True)


# --- the lecture


def present(lecture: Lecture, id: str, *, presents: bool) -> None:
    """Show the lecture where it stands, and follow it."""
    standing = lecture.standing
    mine = None if presents else lectures.viewer()
    if standing is None:
        wait(lecture, mine)
        return
    look = Look.of(standing.query)
    look.apply()
    subject = Subject(standing.query)
    code_of = id if presents and "code" not in look.hidden and standing.step in ("question", "guess") else None
    heading, beside = st.columns([5, 2]) if code_of else (st.container(), None)
    heading.title(plain(look.title), anchor=False)
    if code_of and beside:
        with beside:
            audience_link(code_of, large=standing.step == "guess")
    draw: dict[str, Callable[[], bool]] = {
        "question": lambda: question(subject, heading),
        "guess": lambda: guess(subject, lecture, look, mine),
        "curves": lambda: curves(subject, standing, look),
        "reveal": lambda: reveal(subject, standing, lecture, look),
    }
    moving = standing.step in ("guess", "curves")
    if not moving:
        draw[standing.step]()

    @st.fragment(run_every=lectures.pace(lecture.seen_by(mine)))
    def follow() -> None:
        """Look for another step, and draw what moves."""
        here, now = lecture.seen_by(mine), lecture.standing
        if now is None or now.changes != standing.changes:
            st.rerun()
        was_moving = bool(state.get("lecture.moving"))
        state["lecture.moving"] = moving and draw[standing.step]()
        if was_moving and not state["lecture.moving"]:
            st.rerun()  # once more as a whole page: the presenter's buttons say what can be done now
        if presents:
            st.caption(f"{count(here, 'viewer')} now")

    with heading:
        follow()
    if presents:
        controls(lecture, standing, subject, look)


def wait(lecture: Lecture, mine: str | None) -> None:
    """Nobody has opened the lecture on this server yet."""
    st.title("Lecture", anchor=False)
    st.info("The lecture has not begun. This page follows as soon as it does.", icon=":material/hourglass_top:")

    @st.fragment(run_every=2.0)
    def follow() -> None:
        lecture.seen_by(mine)
        if lecture.standing is not None:
            st.rerun()

    follow()


def question(subject: Subject, heading: DeltaGenerator) -> bool:
    """Who competes: what each trains, and no result."""
    experiments = subject.experiments()
    base = next(iter(experiments.values()))
    source, target = (class_list(base, classes) for classes in (base.split.source, base.split.target))
    heading.markdown(plain(f"{base.backbone_row.title} on {base.dataset.title}: learned on {source}, then {target}."))
    sentences = {strategy.title: strategy.sentence for strategy in STRATEGIES.values()}
    for place, (title, experiment) in enumerate(experiments.items()):
        if place % CARDS_IN_A_ROW == 0:
            columns = st.columns(min(CARDS_IN_A_ROW, len(experiments)))
        with columns[place % CARDS_IN_A_ROW].container(border=True, height="stretch"):
            st.markdown(f"**{plain(title)}**")
            if subject.plan is not None and title in sentences:
                st.markdown(sentences[title])
            st.caption(plain(trained_share(experiment, len(experiment.phases) - 1)))
    return False


def guess(subject: Subject, lecture: Lecture, look: Look, viewer: str | None) -> bool:
    """A button for each, and what others guess. `viewer` is None for the presenter, who does not guess."""
    titles, given = list(subject.experiments()), lecture.guesses
    tallied = guesses.tally(given, titles)
    if viewer is not None:
        st.markdown("Your guess:")
        for title in titles:
            st.button(
                plain(title),
                key=f"lecture.guess.{title}",
                type="primary" if given.get(viewer) == title else "secondary",
                icon=":material/check:" if given.get(viewer) == title else None,
                width="stretch",
                on_click=lecture.guess,
                args=(viewer, title),
            )
    st.markdown(f"**{count(sum(tallied.values()), 'viewer')} guessed**")
    if "tally" not in look.hidden:
        show_guesses(tallied, look)
    return True


def show_guesses(tallied: dict[str, int], look: Look) -> None:
    """The guesses as bars."""
    st.vega_lite_chart(
        guesses.chart(tallied, dark=is_dark(), font=look.font),
        key="lecture.guesses",
        alt="Guesses: " + ", ".join(f"{title} {guessed}" for title, guessed in tallied.items()),
    )


def curves(subject: Subject, standing: Standing, look: Look) -> bool:
    """The race so far, recorded or live; returns whether it moves."""
    found = subject.shown(standing)
    racers = racers_of(found)
    every = [run for runs in found.values() for run in runs.values()]
    length, now = recording.length(racers), time.monotonic()
    if standing.shows_live:
        moving = any(not run.state.is_finished for run in every)
        longest = None
    else:
        moving = standing.playback.plays(now, length)
        at = min(standing.playback.at(now), length)
        longest = length or None
    st.vega_lite_chart(
        race.chart(
            racers if standing.shows_live else recording.race_so_far(racers, at),
            dark=is_dark(),
            font=look.font,
            longest=longest,
        ),
        key="lecture.race",
        alt="Validation accuracy over seconds of each strategy; the results stand in the table of the reveal",
    )
    if standing.shows_live:
        st.markdown("**Live** · " + plain("; ".join(f"{run.name}: {status(run)}" for run in every)))
    elif not length:
        st.markdown("Nothing is recorded yet.")
    else:
        times = standing.playback.speed if standing.playback.since else recording.speed(look.speed, length)
        recorded = [run for runs in racers.values() for run, histories in runs if histories]
        words = f"{recording.recorded_on(recorded)}, {recording.speed_in_words(times)}"
        st.markdown(f"**{words[0].upper()}{words[1:]}** · {duration(at)} of {duration(length)}")
        st.progress(at / length)
    return moving


def reveal(subject: Subject, standing: Standing, lecture: Lecture, look: Look) -> bool:
    """Who won, by how much, whether that is more than luck, and how many knew."""
    found = subject.shown(standing)
    racers = racers_of(found)
    compared = groups(found)
    tallied = guesses.tally(lecture.guesses, found)
    if not compared:
        st.info("No run is done yet: the verdict follows.", icon=":material/hourglass_top:")
    else:
        near = {run.id for group in compared for run in group.runs}
        kept = {id: predictions for id in near if (predictions := reads.predictions(id, "test")) is not None}
        outcome = guesses.outcome(compared, kept)
        st.header(plain(outcome.in_words), anchor=False)
        st.markdown(plain(outcome.sentence))
        if "guess" not in look.hidden and len(found) > 1:
            st.markdown(f"**{guesses.guessed(tallied, outcome.winners)}**")
    st.vega_lite_chart(
        race.chart(racers, dark=is_dark(), font=look.font),
        key="lecture.race",
        alt="Validation accuracy over seconds of each strategy; the results stand in the table below",
    )
    if not compared:
        return False
    st.markdown(plain(outcome.limits))
    seconds = {run.id: race.tuning_seconds(run, histories) for runs in racers.values() for run, histories in runs}
    table = seeds_of.shown(seeds_of.table(compared, outcome.winners[0], seconds=seconds)).set_index("")
    st.table(table.rename(columns={"against the baseline": "against the first"}).replace("the baseline", "the first"))
    st.caption("The curves show accuracy on the validation images, the table and the verdict on the test images.")
    if "guess" not in look.hidden and any(tallied.values()):
        show_guesses(tallied, look)
    if "answers" not in look.hidden:
        every = [measured for runs in racers.values() for measured in runs if measured[0].metrics.get("test")]
        for answer in three_answers(every):
            with st.expander(answer.question):
                st.markdown(plain(answer.text))
    return False


# --- the presenter's buttons


def controls(lecture: Lecture, standing: Standing, subject: Subject, look: Look) -> None:
    """Back and on, and what the step has to control. A presenter's clicker sends Page Up and Page Down."""
    steps = [step for step in look.steps if step != "guess" or len(subject.experiments()) > 1]
    place = steps.index(standing.step) if standing.step in steps else 0
    if "controls" in look.hidden:
        st.html("<style>.st-key-presenter:not(:focus-within) { position: absolute; left: -9999px; }</style>")
    with st.container(horizontal=True, key="presenter", vertical_alignment="bottom"):
        st.button(
            "Back",
            icon=":material/arrow_back:",
            shortcut="PageUp",
            disabled=place == 0,
            key="lecture.back",
            on_click=go,
            args=(lecture, steps[max(0, place - 1)]),
        )
        on = steps[min(len(steps) - 1, place + 1)]
        st.button(
            STEPS[on] if place + 1 < len(steps) else "The end",
            icon=":material/arrow_forward:",
            shortcut="PageDown",
            disabled=place + 1 >= len(steps),
            key="lecture.on",
            on_click=go,
            args=(lecture, on),
            type="secondary" if standing.step == "curves" else "primary",
        )
        if standing.step == "guess":
            st.button("Forget the guesses", icon=":material/restart_alt:", on_click=lecture.forget_guesses)
        if standing.step == "curves":
            curve_controls(lecture, standing, subject, look)


def go(lecture: Lecture, step: str) -> None:
    """Bring everybody to a step; curves wait for Start."""
    standing = lecture.standing
    if standing is not None and step == "curves" and standing.step != "reveal":
        lecture.change(step=step, playback=recording.Playback())
    else:
        lecture.change(step=step)


def curve_controls(lecture: Lecture, standing: Standing, subject: Subject, look: Look) -> None:
    """Start, pause, speed; or train it again on the spot."""
    found = subject.shown(standing)
    if not standing.shows_live:
        length = recording.length(racers_of(found))
        now, playback = time.monotonic(), standing.playback
        plays = playback.plays(now, length)
        speed = choose_speed(
            "Speed",
            look,
            key="lecture.speed_now",
            on_change=change_speed,
            args=(lecture, length),
            label_visibility="collapsed",
        )
        st.button(
            "Pause" if plays else "Start",
            icon=":material/pause:" if plays else ":material/play_arrow:",
            type="primary",
            shortcut="S",
            key="lecture.play",
            disabled=not length,
            on_click=play,
            args=(lecture, length, speed),
        )
    moving = standing.shows_live and any(not run.state.is_finished for runs in found.values() for run in runs.values())
    if standing.shows_live:
        st.button("Show the recording", icon=":material/history:", on_click=lambda: lecture.change(shows_live=False))
    reason = people.why_not_start(len(subject.experiments()))
    st.button(
        "Train it now",
        icon=":material/bolt:",
        disabled=moving or reason is not None,
        key="lecture.train",
        help=reason
        or "Trains all of it once more, in view of everybody. What was prepared is used: shared phases and "
        "stored features are not computed again.",
        on_click=train,
        args=(lecture, subject),
    )


def play(lecture: Lecture, length: float, chosen: str) -> None:
    """Start or pause the replay, for everybody."""
    if (standing := lecture.standing) is None:
        return
    now, playback = time.monotonic(), standing.playback
    if playback.plays(now, length):
        lecture.change(playback=playback.pause(now))
    else:
        lecture.change(playback=playback.play(now, length, recording.speed(chosen, length)))


def change_speed(lecture: Lecture, length: float) -> None:
    """Go on at another speed, where it plays."""
    standing, now = lecture.standing, time.monotonic()
    if standing is not None and standing.playback.plays(now, length):
        speed = recording.speed(state["lecture.speed_now"], length)
        lecture.change(playback=standing.playback.play(now, length, speed))


def train(lecture: Lecture, subject: Subject) -> None:
    """Queue every experiment once more, and show those runs; a second click finds them at work."""
    standing = lecture.standing
    if standing is None:
        return
    if any(not run.state.is_finished for run in reads.store().runs(archived=True, ids=[id for _, id in standing.live])):
        return
    seeds = {title: min(runs, default=0) for title, runs in subject.recorded().items()}
    live = []
    for title, experiment in subject.experiments().items():
        live.append((title, people.submit(experiment, seeds[title], f"{title} · live · seed {seeds[title]}")))
    reads.runs.clear()
    lecture.change(live=tuple(live), shows_live=True)


set_up("Lecture")
query = {name: st.query_params.get_all(name) for name in st.query_params}
try:
    if key := links.first(query, "key"):
        id = links.lecture_of(key)
        lectures.lecture(id).open({name: query[name] for name in query if name not in ("key", "role", "view")})
        present(lectures.lecture(id), id, presents=True)
    elif id := links.first(query, "lecture"):
        present(lectures.lecture(id), id, presents=False)
    else:
        choose(query)
except (ExperimentError, UnknownRun) as error:
    st.error(f"This link does not open a lecture. {plain(str(error))}", icon=":material/link_off:")
