"""The lecture page, step by step, for the presenter and for the hall; and the links that it hands out."""

import json
import time

import pytest

from cifar_core.analysis.recording import Playback
from cifar_core.experiment.links import FIRST, lecture_of, taken_apart
from cifar_core.experiment.measured import State
from cifar_core.experiment.strategies import STRATEGIES
from cifar_core.experiment.transfer_map import TransferMap
from cifar_core.runs.store import Store
from cifar_core.ui import lecture as lectures
from cifar_core.ui.lecture import Look, pace
from tests.filled_store import SECONDS, claim, finished, queue
from tests.pages.app import App

KEY = "not-to-be-guessed"
SUBJECT = {"strategies": "head,everything", "seeds": "1"}


@pytest.fixture
def recorded(store: Store) -> dict[str, str]:
    """The subject's runs, recorded, by strategy."""
    reached = {"head": 0.6, "everything": 0.9}
    return {name: finished(store, STRATEGIES[name].experiment(FIRST), right=right) for name, right in reached.items()}


def presenter(**query: str) -> App:
    return App().open("Lecture", **SUBJECT, role="presenter", key=KEY, **query)


def viewer() -> App:
    return App().open("Lecture", lecture=lecture_of(KEY))


def charts(app: App) -> int:
    return len(app.test.get("vega_lite_chart"))


def on(app: App, to: str) -> App:
    """Press the presenter's buttons until this step."""
    while (label := app.widget("lecture.on").label) != to:
        app.click(label)
    return app.click(to)


def test_the_page_hands_out_both_links_and_says_what_is_not_recorded_yet(app: App, store: Store) -> None:
    app.open("Lecture", **SUBJECT)
    presenters, audience = (code.value for code in app.test.code[-2:])
    assert "role=presenter" in presenters and "strategies=head%2Ceverything" in presenters
    assert audience == f"Lecture?lecture={lecture_of(app.state['lecture.key'])}"
    assert "2 runs of 2 not recorded yet" in app.text()
    assert "python -m cifar_core prepare" in app.test.code[0].value


def test_what_was_chosen_is_carried_in_the_link(app: App, recorded: dict[str, str]) -> None:
    app.open("Lecture", **SUBJECT)
    assert "All of it is recorded on this server." in app.text()
    app.widget("lecture.type").set_value(200)
    app.widget("lecture.title").set_value("Who is faster?")
    app.widget("lecture.hidden").set_value(["tally", "answers"])
    app.run().click("Present now")
    assert app.title == "Who is faster?"
    assert (app.query["type"], app.query["hide"]) == ("200", "tally,answers")


def test_chosen_runs_are_shown_instead_of_a_plan(app: App, recorded: dict[str, str]) -> None:
    app.open("Lecture")
    app.widget("lecture.runs").set_value([recorded["head"], recorded["everything"]])
    app.run().click("Present now")
    assert app.query["runs"] == f"{recorded['head']},{recorded['everything']}"


def test_before_the_presenter_has_come_the_hall_waits(home: object) -> None:
    assert "The lecture has not begun." in viewer().text()


def test_the_question_names_what_each_trains_and_no_result(recorded: dict[str, str]) -> None:
    host, guest = presenter(), viewer()
    for each in (host, guest):
        assert "645 of 949,029 parameters train (0.07 %)" in each.text()
        assert not charts(each) and "60." not in each.text() and "90." not in each.text()
    assert not [button for button in guest.test.button if button.key and button.key.startswith("lecture.")]


def test_viewers_guess_once_each_and_may_change_their_minds(recorded: dict[str, str]) -> None:
    host, first, second = presenter(), viewer(), viewer()
    on(host, "Guess")
    first.run().click("everything")
    second.run().click("head only")
    second.click("everything")
    assert "2 viewers guessed" in host.run().text()
    assert sorted(lectures.lecture(lecture_of(KEY)).guesses.values()) == ["everything", "everything"]
    on(host, "Curves")
    lectures.lecture(lecture_of(KEY)).guess("late", "head only")
    assert "late" not in lectures.lecture(lecture_of(KEY)).guesses


def test_curves_wait_for_start_and_are_labelled_as_recorded(recorded: dict[str, str]) -> None:
    host, guest = presenter(speed="20"), viewer()
    on(host, "Curves")
    assert "0.0 s of 6.0 s" in guest.run().text()
    host.click("Start")
    time.sleep(0.4)  # eight recorded seconds
    for each in (host.run(), guest.run()):
        assert "shown 20 times as fast · 6.0 s of 6.0 s" in each.text().replace("**", "")
        assert "Recorded on " in each.text()
        assert charts(each) == 1
    assert host.has_button("Start") and not guest.has_button("Start")


def test_a_replay_can_be_paused(recorded: dict[str, str]) -> None:
    host = presenter()
    on(host, "Curves").click("Start").click("Pause")
    assert host.has_button("Start")
    standing = lectures.lecture(lecture_of(KEY)).standing
    assert standing is not None and standing.playback.since is None and standing.playback.position > 0


def test_the_reveal_says_who_won_by_how_much_and_how_many_knew(recorded: dict[str, str]) -> None:
    host, guest = presenter(), viewer()
    on(host, "Guess")
    guest.run().click("everything")
    on(host, "Reveal")
    for each in (host, guest.run()):
        said = each.text()
        assert [header.value for header in each.test.header] == ["everything"]
        assert "against the next, “head only”" in said
        assert "1 of 1 viewer guessed it (100 %)." in said
        assert "Synthetic images" in said and "Recorded on " in said
    assert host.click("Back").has_button("Start")


def test_at_the_reveal_the_presenter_saves_the_race_and_the_guesses_as_svg(recorded: dict[str, str]) -> None:
    host, guest = presenter(), viewer()
    on(host, "Guess")
    assert saved(host) == []
    guest.run().click("everything")
    on(host, "Reveal")
    assert saved(host) == ["Race as SVG", "Guesses as SVG"]
    assert saved(guest.run()) == []


def saved(app: App) -> list[str]:
    return [each.proto.label for each in app.test.get("download_button")]


def test_what_has_not_run_has_no_verdict_yet(store: Store) -> None:
    for name in ("head", "everything"):
        queue(store, STRATEGIES[name].experiment(FIRST))
    host = presenter()
    assert "Nothing is recorded yet." in on(host, "Curves").text()
    assert "No run is done yet: the verdict follows." in on(host, "Reveal").text()


def test_training_on_the_spot_queues_each_once_more_and_shows_it_to_all(recorded: dict[str, str], store: Store) -> None:
    host, guest = presenter(), viewer()
    on(host, "Curves").click("Train it now")
    waiting = store.queue()
    assert [run.experiment for run in waiting] == [STRATEGIES[name].experiment(FIRST) for name in recorded]
    assert "Live" in guest.run().text() and "0 of 2 runs done, 2 waiting" in guest.text()
    assert not host.has_button("Train it now")
    for run in waiting:
        store.request_stop(run.id)
    assert store.run(waiting[0].id).state is State.STOPPED
    assert "0.0 s of 6.0 s" in host.run().click("Show the recording").text()


def test_guessing_can_be_left_out(recorded: dict[str, str]) -> None:
    host = presenter(hide="navigation,guess,code")
    assert host.widget("lecture.on").label == "Curves"
    assert "guessed" not in on(host, "Reveal").text()


def test_one_run_alone_is_shown_without_guessing(recorded: dict[str, str]) -> None:
    host = App().open("Lecture", runs=recorded["head"], role="presenter", key=KEY)
    assert host.widget("lecture.on").label == "Curves"
    said = on(host, "Reveal").text()
    assert "nothing else to compare it with" in said and "guessed" not in said


def test_an_unknown_run_of_a_link_is_named(app: App) -> None:
    app.open("Lecture", runs="nosuchrn", role="presenter", key=KEY)
    assert 'There is no run "nosuchrn"' in app.text()


def test_a_link_says_how_a_lecture_looks_and_what_it_gets_wrong_is_as_usual() -> None:
    assert Look.of({}).query == {}
    chosen = Look("Which?", 200, ("tally", "controls"), "20")
    assert Look.of(chosen.query) == chosen
    assert Look.of({"type": ["9"], "speed": ["fast"], "hide": ["nonsense"]}) == Look("", 100, (), "30s")
    assert Look.of(Look("Which?", 160, (), "30s").query).hidden == ()


def test_a_full_hall_looks_less_often() -> None:
    assert (pace(3), pace(200)) == (1.0, 200 / 30)


def test_who_has_left_is_not_counted_and_the_presenter_never() -> None:
    lecture = lectures.Lecture()
    lecture.open({})
    assert (lecture.seen_by(None), lecture.seen_by("a"), lecture.seen_by("b"), lecture.seen_by("a")) == (0, 1, 2, 2)
    assert lecture.standing is not None and lecture.standing.playback == Playback()


def test_a_plan_leads_to_its_lecture(app: App, recorded: dict[str, str]) -> None:
    link = app.open("Plan", **SUBJECT).links()["Show this in a lecture"]
    _, page, query = taken_apart(link)
    app.open(page, **query)
    assert "head only · everything" in app.text().replace("**", "")
    assert "All of it is recorded on this server." in app.text()


def test_another_subject_begins_the_lecture_anew_and_another_look_does_not() -> None:
    lecture = lectures.Lecture()
    lecture.open({"seeds": ["1"]})
    lecture.go("guess")
    lecture.guess("a", "head only")
    for query, step, guessed in (({"seeds": ["1"], "type": ["200"]}, "guess", 1), ({"seeds": ["2"]}, "question", 0)):
        lecture.open(query)
        assert lecture.standing is not None
        assert (lecture.standing.query, lecture.standing.step, len(lecture.guesses)) == (query, step, guessed)
    assert lecture.standing is not None and lecture.standing.changes == 3


def test_a_presenter_can_go_back_to_what_is_shown(recorded: dict[str, str]) -> None:
    host = presenter(type="200").click("Change what is shown")
    assert host.widget("lecture.type").value == 200
    host.click("Present now")
    assert (host.query["key"], host.query["strategies"]) == (KEY, SUBJECT["strategies"])


def test_a_race_of_runs_from_different_machines_comes_with_a_warning(recorded: dict[str, str], store: Store) -> None:
    writer = claim(store, STRATEGIES["scratch"].experiment(FIRST))
    store.set_environment(writer.run, writer.owner, {**store.run(writer.run).environment, "hardware": "a GPU"})
    writer.trains()
    writer.ends(State.DONE, metrics=writer.predicts(0.7))
    host = App().open("Lecture", strategies="head,scratch", seeds="1", role="presenter", key=KEY)
    for step in ("Curves", "Reveal"):
        assert "computed on different machines (2 cores; a GPU)" in on(host, step).text()
    assert "different machines" not in on(presenter(), "Curves").text()


MAP = {"view": "map", "seeds": "1"}
DROP = {"A3B": 0.5, "A4B": 0.4}
"""Where frozen layers of A begin to cost accuracy."""


@pytest.fixture
def mapped(store: Store) -> None:
    """A transfer map, recorded: of 18 runs, each of which took the same."""
    for point, experiment in TransferMap.of(FIRST).experiments.items():
        finished(store, experiment, right=DROP.get(point.title, 0.8))


def test_a_map_asks_from_which_depth_on_and_shows_no_result(mapped: None) -> None:
    host, guest = App().open("Lecture", **MAP, role="presenter", key=KEY), viewer()
    assert host.title == guest.title == "From which depth on does freezing A cost?"
    assert "The first n blocks copied from A, frozen." in guest.text()
    assert not host.test.get("plotly_chart") and not host.tables()
    on(host, "Guess")
    guesses = [button.label for button in guest.run().test.button]
    assert [label.replace("\\", "") for label in guesses] == [
        "A1B: up to conv_1",
        "A2B: up to conv_2",
        "A3B: up to dense_1",
        "A4B: up to dense_2",
        "at no depth",
    ]


def points_drawn(app: App) -> set[str]:
    (chart,) = app.test.get("plotly_chart")
    return {each[0] for trace in json.loads(chart.proto.spec)["data"] for each in trace.get("customdata") or []}


def test_a_map_is_replayed_depth_by_depth(mapped: None) -> None:
    host = App().open("Lecture", **MAP, role="presenter", key=KEY)
    on(host, "Curves")
    assert points_drawn(host) == set()
    lecture = lectures.lecture(lecture_of(KEY))
    length = 18 * sum(seconds for entry, seconds in SECONDS.items() if entry != "queue")
    lecture.change(playback=Playback(0.4 * length))  # of the bases and four depths, 2 + 4 + 1.2 runs
    assert points_drawn(host.run()) == {"baseB", "B1B", "B1B+", "A1B", "A1B+"}
    lecture.change(playback=Playback(length))
    assert len(points_drawn(host.run())) == 17  # all but baseA, whose classes are others


def test_the_reveal_of_a_map_says_from_which_depth_on_and_how_many_knew(mapped: None) -> None:
    host, guest = App().open("Lecture", **MAP, role="presenter", key=KEY), viewer()
    on(host, "Guess")
    guest.run().click("A3B: up to dense_1")
    on(host, "Reveal")
    for each in (host, guest.run()):
        said = each.text()
        assert [header.value.replace("\\", "") for header in each.test.header] == ["A3B: up to dense_1"]
        assert "From A3B on, frozen features of A cost B something" in said
        assert "1 of 1 viewer guessed it (100 %)." in said
        assert "One seed each" in said and "Synthetic images" in said
        assert len(each.tables()[0]) == 18
    assert saved(host) == ["Guesses as SVG"] and host.widget("figures.form").value == "SVG"


def test_the_reveal_of_a_map_that_does_not_answer_yet_flags_what_it_shows(store: Store) -> None:
    points = {point.title: experiment for point, experiment in TransferMap.of(FIRST).experiments.items()}
    for title in ("baseB", "A1B"):
        finished(store, points[title], right=0.8)
    said = on(App().open("Lecture", **MAP, role="presenter", key=KEY), "Reveal").text()
    assert "The map leaves this open." in said
    assert "Recorded on " in said and "Mind: synthetic images." in said


def test_a_map_that_is_not_recorded_has_no_verdict(home: object) -> None:
    host = App().open("Lecture", **MAP, role="presenter", key=KEY)
    assert "Nothing is recorded yet." in on(host, "Curves").text()
    assert "No run is done yet: the verdict follows." in on(host, "Reveal").text()


def test_a_plans_map_leads_to_its_lecture(app: App) -> None:
    link = app.open("Plan", view="map", seeds="1", **{"set": "phases.0.epochs=2"}).links()["Show this in a lecture"]
    _, page, query = taken_apart(link)
    said = app.open(page, **query).text()
    assert "baseB · BnB · BnB+ · AnB · AnB+" in said.replace("**", "")
    assert "18 runs of 18 not recorded yet" in said
    assert app.click("Present now").query["view"] == "map"
