"""A lecture: a question, the hall's guesses, the curves as they came, and what won. One link each for both sides.

Without a key or a lecture in its address, the page makes the two links.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from cifar_core.analysis import groups as seeds_of
from cifar_core.analysis import guesses, race, recording, transfer_map, verdict
from cifar_core.analysis.answers import three_answers
from cifar_core.analysis.comparison import other_machines
from cifar_core.analysis.labels import flags
from cifar_core.analysis.linked import Subject, subject_of
from cifar_core.analysis.plan import Found, groups, standing
from cifar_core.analysis.recording import SPEEDS, WHOLE
from cifar_core.analysis.wording import count, duration
from cifar_core.experiment import links
from cifar_core.experiment.links import Query
from cifar_core.experiment.measured import State
from cifar_core.experiment.record import ExperimentError
from cifar_core.experiment.transfer_map import TransferMap
from cifar_core.ui import export, people, reads
from cifar_core.ui import lecture as lectures
from cifar_core.ui.lecture import PARTS, STEPS, Lecture, Look, Standing
from cifar_core.ui.page import is_dark, set_up
from cifar_core.ui.run_header import LISTED
from cifar_core.ui.text import plain

DEFAULT = {"strategies": ["head,everything,scratch"], "seeds": ["1"]}
MOST_SHOWN = 8
CARDS_IN_A_ROW = 3
SPEED_NAMES = {speed: f"{speed}×" for speed in SPEEDS} | {WHOLE: "in 30 s"}
SMALL = 13  # letters of a figure on a phone, pixels
state = st.session_state


def server() -> str:
    """The address under which this page was opened, without the page."""
    parts = urlsplit(st.context.url or "")
    return links.taken_apart(f"{parts.scheme}://{parts.netloc}{parts.path}")[0] if parts.netloc else ""


def press(label: str, icon: str, does: Callable[..., Any], *args: Any, **options: Any) -> None:
    """A button that does something with `args`."""
    st.button(label, icon=f":material/{icon}:", on_click=does, args=args, **options)


# --- making the links


def choose(query: Query) -> None:
    """Choose what is shown and how, and hand out the links."""
    st.title("Lecture", anchor=False)
    st.markdown(
        "Ask, let the hall guess, show the curves as they came, reveal: on the projector and on everybody's phone at "
        "once, from runs recorded beforehand or trained on the spot."
    )
    about = choose_runs(subject_of(query) or DEFAULT)
    subject = Subject.of(about)
    st.markdown(" · ".join(f"**{plain(card.title)}**" for card in subject.cards(lectures.every_run())))
    say_what_is_missing(subject, about)
    look = choose_look(Look.of(query), subject)
    key = state.setdefault("lecture.key", links.new_key())
    whole = about | look.query
    presenter = links.presenter(whole, key)
    put_into_address(whole)
    with st.container(border=True):
        st.markdown("**The presenter's link** moves all who watch from step to step. Keep it to yourself.")
        st.code(links.address(server(), "Lecture", presenter), language=None, wrap_lines=True)
        press("Present now", "co_present", put_into_address, presenter, type="primary")
    with st.container(border=True):
        st.markdown("**The audience's link**, also shown with a code in the lecture. It opens once you present.")
        audience_link(links.lecture_of(key))
        if urlsplit(server()).hostname in ("localhost", "127.0.0.1", "::1"):
            st.caption(
                "“localhost” is this computer alone. Open this page under the computer's name or address in the "
                "hall's network, and both links follow."
            )


def choose_runs(about: Query) -> Query:
    """Choose runs, or leave it to the plan that the address means."""
    named = links.first(about, "runs").split(",")
    known = {
        run.id: run
        for place, run in enumerate(lectures.every_run())
        if run.id in named or (place < LISTED and run.state is State.DONE and not run.archived)
    }
    runs = st.multiselect(
        "Runs, if not a plan's",
        list(known),
        default=[id for id in named if id in known][:MOST_SHOWN],
        format_func=lambda id: known[id].name,
        max_selections=MOST_SHOWN,
        key="lecture.runs",
        placeholder="The plan's, as below",
    )
    plan = {name: values for name, values in about.items() if name != "runs"}
    return {"runs": [",".join(runs)]} if runs else plan or DEFAULT


def choose_look(look: Look, subject: Subject) -> Look:
    """Choose the question, and how the lecture looks."""
    left, right = st.columns(2)
    title = left.text_input("Question", look.title, key="lecture.title", max_chars=200, placeholder=subject.question)
    hidden = right.multiselect(
        "Hidden", list(PARTS), default=look.hidden, format_func=PARTS.__getitem__, key="lecture.hidden"
    )
    type_ = left.slider("Type, percent", lectures.LEAST_TYPE, lectures.MOST_TYPE, look.type, 10, key="lecture.type")
    with right:
        speed = choose_speed("Speed of replays", look, key="lecture.speed")
    return Look(title.strip(), type_, tuple(hidden), speed)


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


def say_what_is_missing(subject: Subject, about: Query) -> None:
    """Say whether everything is recorded, and what to do where it is not."""
    if subject.plan is None:
        return
    missing = subject.unrecorded(lectures.every_run(), lectures.images_of(subject))
    if not missing:
        st.caption("All of it is recorded on this server. No network is needed.")
        return
    st.info(
        f"{count(missing, 'run')} of {len(list(subject.plan))} not recorded yet. Start them on the Plan "
        "page, or let `prepare` record everything and check that it works without a network:",
        icon=":material/inventory:",
    )
    st.code(f"python -m cifar_core prepare '{links.address('', 'Lecture', about)}'", language=None, wrap_lines=True)
    st.page_link("pages/7_Plan.py", label="Open the plan", icon=":material/checklist:", query_params=about)


def put_into_address(query: Query) -> None:
    """Put parameters into the page's address, besides what every address goes on saying."""
    view = [*people.carried().get("view", ()), *query.get("view", ())]
    st.query_params.from_dict(query | ({"view": view} if view else {}))


def audience_link(id: str, *, large: bool = True) -> None:
    """Show the audience's link as a code, and a large one as words, too."""
    link = links.address(server(), "Lecture", {"lecture": [id]})
    lectures.code(link, "11rem" if large else "8rem")
    if large:
        st.code(link, language=None, wrap_lines=True)


# --- the lecture


class Scene(NamedTuple):
    """A lecture where it stands, as one person sees it: a viewer, or the presenter, who is none."""

    lecture: Lecture
    now: Standing
    viewer: str | None


def present(lecture: Lecture, id: str, *, presents: bool) -> None:
    """Show the lecture where it stands, and follow it."""
    shown, viewer = lecture.standing, None if presents else lectures.viewer()
    if shown is None:
        wait(lecture, viewer)
        return
    scene = Scene(lecture, shown, viewer)
    shown.look.apply()
    shows_code = presents and "code" not in shown.look.hidden and shown.step in ("question", "guess")
    heading, beside = st.columns([5, 2]) if shows_code else (st.container(), None)
    heading.title(plain(shown.look.title or shown.subject.question), anchor=False)
    if beside:
        with beside:
            audience_link(id, large=shown.step == "guess")
    if shown.step == "question":
        heading.markdown(plain(shown.subject.introduction(lectures.every_run())))
    body = {"question": question, "guess": guess, "curves": curves, "reveal": reveal}[shown.step]
    moving = shown.step in ("guess", "curves")
    if not moving:
        body(scene)

    @st.fragment(run_every=lectures.pace(lecture.seen_by(viewer)))
    def follow() -> None:
        """Look for another step, and draw what moves."""
        here, now = lecture.seen_by(viewer), lecture.standing
        if now is None or now.changes != shown.changes:
            st.rerun()
        was_moving = bool(state.get("lecture.moving"))
        state["lecture.moving"] = moving and body(scene)
        if was_moving and not state["lecture.moving"]:
            st.rerun()  # once more as a whole page: the presenter's buttons say what can be done now
        if presents:
            st.caption(f"{count(here, 'viewer')} now")

    with heading:
        follow()
    if presents:
        controls(scene)


def wait(lecture: Lecture, viewer: str | None) -> None:
    """Nobody has opened the lecture on this server yet."""
    st.title("Lecture", anchor=False)
    st.info("The lecture has not begun. This page follows as soon as it does.", icon=":material/hourglass_top:")

    @st.fragment(run_every=2.0)
    def follow() -> None:
        lecture.seen_by(viewer)
        if lecture.standing is not None:
            st.rerun()

    follow()


def question(scene: Scene) -> bool:
    """Who competes: what each trains, and no result."""
    cards = scene.now.subject.cards(lectures.every_run())
    for place, card in enumerate(cards):
        if place % CARDS_IN_A_ROW == 0:
            columns = st.columns(min(CARDS_IN_A_ROW, len(cards)))
        with columns[place % CARDS_IN_A_ROW].container(border=True, height="stretch"):
            st.markdown(f"**{plain(card.title)}**")
            if card.sentence:
                st.markdown(card.sentence)
            if card.note:
                st.caption(plain(card.note))
    return False


def guess(scene: Scene) -> bool:
    """A button for each, and what others guess. The presenter does not guess."""
    given = scene.lecture.guesses
    mine, tallied = given.get(scene.viewer or ""), guesses.tally(given, scene.now.choices)
    if scene.viewer is not None:
        st.markdown("Your guess:")
        for title in tallied:
            st.button(
                plain(title),
                key=f"lecture.guess.{title}",
                type="primary" if mine == title else "secondary",
                icon=":material/check:" if mine == title else None,
                width="stretch",
                on_click=scene.lecture.guess,
                args=(scene.viewer, title),
            )
    st.markdown(f"**{count(sum(tallied.values()), 'viewer')} guessed**")
    if "tally" not in scene.now.look.hidden:
        show_guesses(tallied, scene.now.look)
    return True


def show_guesses(tallied: Mapping[str, int], look: Look) -> None:
    """The guesses as bars."""
    st.vega_lite_chart(
        guesses.chart(tallied, dark=is_dark(), font=look.font),
        key="lecture.guesses",
        alt="Guesses: " + ", ".join(f"{title} {guessed}" for title, guessed in tallied.items()),
    )


def curves(scene: Scene) -> bool:
    """The race or the map so far, recorded or live; returns whether it moves."""
    found, playback, now = scene.now.found, scene.now.playback, time.monotonic()
    every = [run for runs in found.values() for run in runs.values()]
    if said := flags(every):
        st.caption(said)
    if scene.now.shows_live:
        draw(scene, found)
        st.markdown(f"**Live** · {plain(standing(every))}")
        return scene.now.trains
    length = scene.now.length(found)
    at = min(playback.at(now), length)
    draw(scene, found, at)
    if not length:
        st.markdown("Nothing is recorded yet.")
        return False
    times = playback.speed if playback.since else recording.speed(scene.now.look.speed, length)
    st.markdown(f"**{recording.told(found, times)}** · {duration(at)} of {duration(length)}")
    st.progress(at / length)
    return playback.plays(now, length)


@st.cache_resource(max_entries=64, show_spinner=False)
def map_figure(
    numbers: str, dark: bool, font: int, _map: TransferMap, _rows: pd.DataFrame, _whole: pd.DataFrame
) -> go.Figure:
    """The map, drawn once for all who look at the same `numbers`."""
    return transfer_map.figure(_map, _rows, whole=_whole, dark=dark, font=font)


def draw(scene: Scene, found: Found, at: float | None = None) -> None:
    """The race or the map, as far as it had come after `at` seconds of the recording, or as far as it is."""
    if (map := scene.now.subject.map) is not None:
        whole = transfer_map.table(map, found)
        rows = whole if at is None else transfer_map.table(map, recording.map_so_far(map, found, at))
        font = scene.now.look.font if scene.viewer is None else SMALL
        export.draw(
            map_figure(f"{rows.to_json()} {whole.to_json()}", is_dark(), font, map, rows, whole),
            "transfer-map",
            key="lecture.map",
            alt="Test accuracy on B over the number of blocks copied; the results stand in the table of the reveal",
        )
        return
    racers = lectures.racers_of(found)
    st.vega_lite_chart(
        race.chart(
            racers if at is None else recording.race_so_far(racers, at),
            dark=is_dark(),
            font=scene.now.look.font,
            longest=None if at is None else recording.length(racers) or None,
        ),
        key="lecture.race",
        alt="Validation accuracy over seconds of each strategy; the results stand in the table of the reveal",
    )
    if warning := other_machines(run for runs in racers.values() for run, _ in runs):
        st.warning(plain(warning), icon=":material/flag:")
    if said := race.left_out(racers):
        st.caption(plain(said))


def reveal(scene: Scene) -> bool:
    """What is right, by how much, whether that is more than luck, and how many knew."""
    found, map = scene.now.found, scene.now.subject.map
    compared, tallied = groups(found), guesses.tally(scene.lecture.guesses, scene.now.choices)
    if map is None:
        kept = {run.id: reads.predictions(run.id, "test") for group in compared for run in group.runs}
        predictions = {run: each for run, each in kept.items() if each is not None}
        outcome = verdict.outcome(compared, predictions) if compared else None
    else:
        rows = transfer_map.table(map, found)
        outcome = guesses.depth_outcome(map, rows, found)
    if outcome is None:
        why = "The map leaves this open." if compared else "No run is done yet: the verdict follows."
        st.info(why, icon=":material/hourglass_top:")
    else:
        st.header(plain(outcome.in_words), anchor=False)
        st.markdown(plain(outcome.sentence))
        if tallied:
            st.markdown(f"**{guesses.guessed(tallied, outcome.winners)}**")
    draw(scene, found)
    recorded = "" if scene.now.shows_live else f"{recording.recorded(found)}."
    st.caption(" ".join(filter(None, [recorded, flags(run for runs in found.values() for run in runs.values())])))
    if outcome is not None:
        st.markdown(plain(outcome.limits))
    if map is not None:
        said = [each for each in transfer_map.findings(map, rows) if outcome is None or each != outcome.sentence]
        st.markdown("\n".join(f"- {plain(sentence)}" for sentence in said))
        st.dataframe(transfer_map.shown(rows), hide_index=True, height="content", alt="The points of the map")
    elif outcome is not None:
        measured = [each for racers in lectures.racers_of(found).values() for each in racers]
        seconds = {run.id: race.tuning_seconds(run, histories) for run, histories in measured}
        table = seeds_of.table(compared, outcome.winners[0], seconds=seconds)
        alt = "Test accuracy of each, and what the differences are worth"
        st.dataframe(seeds_of.shown(table, "the first"), hide_index=True, height="content", alt=alt)
        st.caption("The curves show accuracy on the validation images, the table and the verdict on the test images.")
    if outcome is not None and any(tallied.values()):
        show_guesses(tallied, scene.now.look)
    if map is None and outcome is not None and "answers" not in scene.now.look.hidden:
        of_runs = {run.id: group for group in compared for run in group.runs}
        tested = [each for each in measured if each[0].id in of_runs]
        for answer in three_answers(tested, of_runs, lambda _: predictions):
            with st.expander(answer.question):
                st.markdown(plain(answer.text))
    return False


# --- the presenter's buttons


def controls(scene: Scene) -> None:
    """Back and on, and what the step has to control. A presenter's clicker sends Page Up and Page Down."""
    lecture, step, steps = scene.lecture, scene.now.step, scene.now.steps
    place = steps.index(step) if step in steps else 0
    back, on = steps[max(0, place - 1)], steps[min(len(steps) - 1, place + 1)]
    if "controls" in scene.now.look.hidden:
        st.html("<style>.st-key-presenter:not(:focus-within) { position: absolute; left: -9999px; }</style>")
    with st.container(horizontal=True, key="presenter", vertical_alignment="bottom"):
        press("Back", "arrow_back", lecture.go, back, shortcut="PageUp", disabled=back == step, key="lecture.back")
        press(
            STEPS[on] if on != step else "The end",
            "arrow_forward",
            lecture.go,
            on,
            shortcut="PageDown",
            disabled=on == step,
            key="lecture.on",
            type="secondary" if step == "curves" else "primary",
        )
        if step == "question":
            press("Change what is shown", "tune", put_into_address, scene.now.query)
        elif step == "guess":
            press("Forget the guesses", "restart_alt", lecture.forget_guesses)
        elif step == "curves":
            curve_controls(scene)
        elif step == "reveal":
            save_figures(scene)


def save_figures(scene: Scene) -> None:
    """Let the presenter take the figures along: charts as SVG, and what the camera over the map saves."""
    if scene.now.subject.map is None:
        racers = lectures.racers_of(scene.now.found)
        export.save_chart(lambda: race.chart(racers), "race", key="lecture.race.svg", label="Race as SVG")
    else:
        export.figures_as()
    tallied = guesses.tally(scene.lecture.guesses, scene.now.choices)
    if any(tallied.values()):
        export.save_chart(lambda: guesses.chart(tallied), "guesses", key="lecture.guesses.svg", label="Guesses as SVG")


def curve_controls(scene: Scene) -> None:
    """Start, pause, speed; or train it again on the spot."""
    lecture, length = scene.lecture, scene.now.length(scene.now.found)
    if scene.now.shows_live:
        press("Show the recording", "history", lambda: lecture.change(shows_live=False))
    else:
        plays = scene.now.playback.plays(time.monotonic(), length)
        speed = choose_speed(
            "Speed",
            scene.now.look,
            key="lecture.speed_now",
            on_change=lambda: lecture.play_at(state["lecture.speed_now"], length),
            label_visibility="collapsed",
        )
        press(
            "Pause" if plays else "Start",
            "pause" if plays else "play_arrow",
            lecture.play_or_pause,
            speed,
            length,
            type="primary",
            shortcut="S",
            key="lecture.play",
            disabled=not length,
        )
    reason = people.why_not_start(len(scene.now.subject.experiments(lectures.every_run())))
    help = (
        "Trains all of it once more, in view of everybody. What was prepared is used: shared phases and stored "
        "features are not computed again."
    )
    barred = scene.now.trains or reason is not None
    press("Train it now", "bolt", lecture.train, disabled=barred, key="lecture.train", help=reason or help)


set_up("Lecture")
query = {name: st.query_params.get_all(name) for name in st.query_params}
try:
    if key := links.first(query, "key"):
        state["lecture.key"] = key
        lecture = lectures.lecture(links.lecture_of(key))
        lecture.open(subject_of(query) | Look.of(query).query)
        present(lecture, links.lecture_of(key), presents=True)
    elif id := links.first(query, "lecture"):
        present(lectures.lecture(id), id, presents=False)
    else:
        choose(query)
except ExperimentError as error:
    st.error(f"This link does not open a lecture. {plain(str(error))}", icon=":material/link_off:")
