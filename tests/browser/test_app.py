"""The real app in a real browser: server, supervisor, worker and pages together."""

import re
from collections.abc import Callable

import pytest

from cifar_core.analysis.predictions import load
from cifar_core.data.catalogue import open_images
from cifar_core.experiment.experiment import Data, Experiment
from cifar_core.experiment.links import FIRST, lecture_of
from cifar_core.experiment.measured import State
from cifar_core.experiment.strategies import STRATEGIES
from cifar_core.runs.errors import ClaimLost
from cifar_core.runs.store import Store
from cifar_core.ui.glossary import TERMS, help_for
from tests.browser.server import Server
from tests.browser.visitor import TRAINING, Visitor
from tests.filled_store import finished as add_finished

TINY = "Experiment?start=scratch&set=data.per_class=20&set=phases.0.epochs=1&set=phases.1.epochs=1&seed={seed}"
LONG = "Experiment?start=scratch&set=data.per_class=40&set=phases.0.epochs=5000&seed={seed}"
PAGES = ("", "Experiment", "Live", "Results", "Compare", "Plan", "Lecture", "Try", "Notebook", "Published", "Glossary")
Come = Callable[..., Visitor]


def started(visitor: Visitor, link: str, seed: int) -> str:
    """Start an experiment by its link and return the run's id."""
    visitor.open(link.format(seed=seed)).start.click()
    return visitor.run


def finished(visitor: Visitor, server: Server, seed: int) -> str:
    """Start a tiny experiment and watch it to its end."""
    run = started(visitor, TINY, seed)
    visitor.stands(re.compile(r"^done in "))
    assert server.store.run(run).state is State.DONE
    return run


def recorded(store: Store, experiment: Experiment = FIRST, *, right: float = 0.8) -> str:
    """Add a finished run; the server may be quicker to claim it for its own workers, so try until it was not."""
    while True:
        try:
            return add_finished(store, experiment, seed=8, right=right)
        except ClaimLost:
            continue


def test_a_person_chooses_starts_watches_reads_results_and_compares(visit: Come, server: Server) -> None:
    visitor = visit()
    first = finished(visitor, server, seed=1)
    visitor.expect(visitor.charts).to_have_count(2)
    visitor.main.get_by_role("link", name="See the results", exact=True).click()
    visitor.sees(re.compile("of the test images given their right class"))
    visitor.expect(visitor.figures.first).to_be_visible()
    assert visitor.run == first
    second = finished(visitor, server, seed=2)
    visitor.open(f"Compare?runs={first},{second}")
    visitor.sees("Why is it faster than training from scratch?")
    visitor.expect(visitor.main.get_by_role("figure", name=re.compile("^Confusion matrix of"))).to_have_count(2)


@pytest.mark.parametrize(
    ("page", "asked", "same", "other"),
    [
        (
            "Results",
            "Choose a cell to see its images.",
            r"^\d+ images of {0}, predicted as {0}, most confident first",
            r"^\d+ images? of {0}, predicted as {1}",
        ),
        (
            "Compare",
            "Choose a cell to see its images, and what every run says of them.",
            "^Images of {0}, predicted as {0} by at least one run",
            "^(Images of {0}, predicted as {1} by at least one run|No run takes an image of {0} for {1})",
        ),
    ],
)
def test_a_click_on_a_cell_of_a_confusion_matrix_shows_its_images(
    visit: Come, server: Server, page: str, asked: str, same: str, other: str
) -> None:
    open_images(Data(name="sample"), home=server.home)
    runs = [recorded(server.store, right=right) for right in (0.8, 0.6)]
    names = load(server.store.files.folder(runs[0]) / "test.npz").class_names
    visitor = visit().open(f"{page}?run={runs[0]}&runs={','.join(runs)}")
    visitor.sees(asked)
    visitor.click_cell(row=0, column=0, classes=len(names))
    visitor.sees(re.compile(same.format(*names)))
    visitor.expect(visitor.images.first).to_be_visible()
    visitor.click_cell(row=0, column=1, classes=len(names))
    visitor.sees(re.compile(other.format(*names)))


def test_a_run_is_the_same_on_every_device_and_after_a_reload_and_can_be_stopped(visit: Come, server: Server) -> None:
    visitor = visit()
    run = started(visitor, LONG, seed=3)
    visitor.sees(TRAINING)
    before = visitor.epoch()
    visitor.until(lambda: visitor.epoch() > before)
    visitor.page.reload()
    visitor.settle()
    assert visitor.run == run
    visitor.sees(TRAINING)
    other = visit().open(f"Live?run={run}")
    other.sees(TRAINING)
    other.stop.click()
    for each in (other, visitor):
        each.stands(re.compile("^stopped, "))
    assert server.store.run(run).state is State.STOPPED
    assert (server.store.files.folder(run) / "model.keras").exists()


def test_the_zoom_stays_while_the_curves_move(visit: Come) -> None:
    visitor = visit()
    started(visitor, LONG, seed=4)
    visitor.sees(TRAINING)
    visitor.expect(visitor.charts).to_have_count(2)
    whole = visitor.x_axis()
    visitor.charts.first.hover()
    visitor.page.keyboard.down("Control")
    visitor.page.mouse.wheel(0, -600)
    visitor.page.keyboard.up("Control")
    visitor.until(lambda: visitor.x_axis() != whole)
    visitor.page.mouse.move(5, 5)
    visitor.settle()
    zoomed, before = visitor.x_axis(), visitor.epoch()
    visitor.until(lambda: visitor.epoch() > before)
    assert visitor.x_axis() == zoomed


def test_a_double_click_on_start_queues_one_run(visit: Come, server: Server) -> None:
    visitor, before = visit(), len(server.store.runs())
    visitor.open(TINY.format(seed=5)).start.dblclick()
    assert visitor.run
    visitor.settle()
    assert len(server.store.runs()) == before + 1


@pytest.mark.thorough
def test_a_phone_needs_no_scrolling_sideways(visit: Come) -> None:
    phone = visit(viewport={"width": 390, "height": 844}, is_mobile=True, has_touch=True)
    assert [page for page in PAGES if phone.open(page).is_wider_than_the_window()] == []


def test_a_dark_browser_gets_dark_pages_and_a_light_one_light_pages(visit: Come) -> None:
    assert visit(color_scheme="dark").open("Experiment").brightness() < 60
    assert visit(color_scheme="light").open("Experiment").brightness() > 200


@pytest.mark.parametrize(
    ("page", "widgets"),
    [
        ("", ["Start the sample experiment", "Choose your own"]),
        ("Experiment", ["Start from", "Open an experiment file"]),
    ],
)
def test_tab_goes_through_the_navigation_and_then_down_the_page(visit: Come, page: str, widgets: list[str]) -> None:
    visitor, stops = visit().open(page), [""]
    for each in (PAGES[-1], *widgets):  # each kind of element is there when its own script has come
        visitor.page.get_by_text(each).first.wait_for()
    while stops[-1] != widgets[-1] and len(stops) < 40:
        stops.append(visitor.tab())
    places = [stops.index(name) for name in ("Transfer Lab", *PAGES[1:], *widgets)]
    assert places == sorted(places)


def test_every_term_is_where_its_help_text_links_to(visit: Come) -> None:
    glossary = visit().open("Glossary")
    anchors = {help_for(term).rpartition("#")[2].rstrip(")") for term in TERMS}
    assert anchors <= set(glossary.main.locator("[id]").evaluate_all("found => found.map(each => each.id)"))


def test_a_presenter_leads_the_hall_from_the_question_to_the_reveal(visit: Come, server: Server) -> None:
    reached = {"head": 0.6, "everything": 0.9}
    runs = [recorded(server.store, STRATEGIES[name].experiment(FIRST), right=reached[name]) for name in reached]
    host = visit().open(f"Lecture?runs={','.join(runs)}&speed=20&role=presenter&key=hall")
    guest = visit(viewport={"width": 390, "height": 844}, is_mobile=True, has_touch=True)
    guest.open(f"Lecture?lecture={lecture_of('hall')}").sees(re.compile("^645 of 949,029 parameters train"))
    host.page.keyboard.press("PageDown")
    guest.main.get_by_role("button", name="everything in fine-tune", exact=True).click()
    host.sees("1 viewer guessed")
    host.page.keyboard.press("PageDown")
    host.main.get_by_role("button", name=re.compile("^Start")).click()
    for each in (host, guest):
        each.sees(re.compile("shown 20 times as fast"))
        each.sees("6.0 s of 6.0 s")
    host.page.keyboard.press("PageDown")
    guest.sees("1 of 1 viewer guessed it (100 %).")
    assert not guest.is_wider_than_the_window()


def test_an_unknown_run_is_named(visit: Come) -> None:
    visit().open("Live?run=nosuchrn").sees('There is no run "nosuchrn"; it may have been deleted.')


def test_a_stopped_server_leaves_nothing_behind_and_an_open_page_goes_on_with_a_new_one(
    visit: Come, server: Server
) -> None:
    visitor = visit()
    run = started(visitor, LONG, seed=6)
    visitor.sees(TRAINING)
    assert server.workers()
    try:
        assert not server.stop()
    finally:
        server.start()
    visitor.stands(re.compile("^interrupted: "))  # the page is as it was left, and comes back by itself
    visitor.complaints.clear()  # about the server that was gone
    assert not [each for each in server.store.runs() if each.state.is_active]
    visitor.page.wait_for_timeout(4000)  # news are sent again by now, which a page at rest has not heard of
    visitor.main.get_by_role("button", name="Go on from the last finished epoch", exact=True).click()
    visitor.stands(re.compile("^(queued|preparing|training)"))
    assert server.store.run(run).resumed == 1
