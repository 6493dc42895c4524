"""Every page by an automated checker: with and without runs, light and wide, dark and on a phone, folds unfolded."""

import re
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from sqlite3 import connect
from typing import Any, NamedTuple

import pytest

from cifar_core.analysis import transfer_map
from cifar_core.analysis.predictions import load
from cifar_core.data.catalogue import open_images
from cifar_core.experiment.experiment import Data
from cifar_core.experiment.links import FIRST, lecture_of
from cifar_core.experiment.measured import State
from cifar_core.experiment.settings import smoke
from cifar_core.experiment.transfer_map import TransferMap
from cifar_core.runs.store import Store
from tests.browser.conftest import skip
from tests.browser.server import ROOT, Server
from tests.browser.visitor import Visitor
from tests.filled_store import HEAD_ONLY, failed, finished, training

PAGES = ("", *(path.stem.partition("_")[2] for path in sorted((ROOT / "pages").glob("*.py"))))
WITHOUT_RUNS = ("", "Live", "Results", "Compare", "Notebook")
"""Pages that look different as long as nothing has run."""

STREAMLITS_OWN = {
    (
        "empty-table-header",
        'th[aria-colindex="1"]',
    ): "check boxes of a table whose rows can be chosen",
}
"""What Streamlit draws, rule and place as the checker names them, and what it is."""

RULES_OF_LOOKS = ["color-contrast", "target-size", "scrollable-region-focusable"]
"""Rules that another theme or width may break; the others hold for both or for none."""

Check = Callable[..., list[str]]


@pytest.fixture(scope="module")
def violations() -> Check:
    """What the checker finds on a page as it is shown now, by all its rules or only by some."""
    try:
        from axe_playwright_python.sync_playwright import Axe
    except ImportError:
        skip("axe-playwright-python is not installed")
    axe = Axe()

    def found(visitor: Visitor, rules: Sequence[str] = ()) -> list[str]:
        options = {"resultTypes": ["violations"]} | ({"runOnly": rules} if rules else {})
        response = axe.run(visitor.page, options=options).response
        return [
            f"{rule['id']} ({rule['impact']}): {' '.join(map(str, node['target']))}\n{node['failureSummary']}"
            for rule in response["violations"]
            for node in rule["nodes"]
            if (rule["id"], node["target"][0]) not in STREAMLITS_OWN
        ]

    return found


@pytest.fixture(scope="module")
def visitor(server: Server, browser: Any) -> Iterator[Visitor]:
    """One person who looks at all pages; nothing may have gone wrong on any of them."""
    visitor = Visitor(server.url, browser.new_context())
    yield visitor
    visitor.leave()


@pytest.fixture(scope="module")
def without_runs(visitor: Visitor, violations: Check) -> dict[str, list[str]]:
    """What is found on each page while there are no runs."""
    found = {}
    for page in WITHOUT_RUNS:
        visitor.open(page).looks(dark=True, width=390)
        found[page] = violations(visitor)
    return found


@pytest.fixture(scope="module")
def links(server: Server, without_runs: object, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A link to each page, by its name, on a store with runs."""
    open_images(Data(name="sample"), home=server.home)
    made = tmp_path_factory.mktemp("made")  # apart: the server would claim what waits here
    shutil.copytree(server.home / "data", made / "data")
    store = Store(made)
    first, other = finished(store), finished(store, HEAD_ONLY, right=0.6)
    failed(store)
    now = training(store)
    store.close()
    shutil.copytree(made / "runs", server.home / "runs", dirs_exist_ok=True)
    with closing(connect(made / "store.sqlite")) as source, closing(connect(server.home / "store.sqlite")) as target:
        source.backup(target)
    queries = {
        "Live": f"?run={now}",
        "Results": f"?run={first}",
        "Compare": f"?runs={first},{other}",
        "Try": f"?runs={first}",
    }
    return {page: page + queries.get(page, "") for page in PAGES}


@pytest.mark.parametrize("page", WITHOUT_RUNS)
def test_a_page_without_runs_passes_the_accessibility_checker(page: str, without_runs: dict[str, list[str]]) -> None:
    assert without_runs[page] == []


@pytest.mark.parametrize("page", PAGES)
def test_a_page_passes_the_accessibility_checker(
    page: str, links: dict[str, str], visitor: Visitor, violations: Check
) -> None:
    assert found_on(visitor.open(links[page]), violations) == []
    assert visitor.linked_headings() == 0 or page == "Glossary"  # there, other pages link to them


def found_on(visitor: Visitor, violations: Check) -> list[str]:
    """What is wrong with a page as it stands: light and wide, then dark and on a phone."""
    visitor.looks(dark=False, width=1400).unfold()
    found = violations(visitor)
    visitor.looks(dark=True, width=390)
    wider = ["The page is wider than the window."] if visitor.is_wider_than_the_window() else []
    return [*found, *violations(visitor, RULES_OF_LOOKS), *wider, *visitor.cut_off(), *visitor.nameless()]


class Rich(NamedTuple):
    """A server whose runs fill every view, and their ids by what they are."""

    server: Server
    runs: dict[str, str]


@pytest.fixture(scope="module")
def rich(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rich]:
    """Two seeds, another strategy and a whole transfer map, made up; and one small run that has really trained."""
    home = tmp_path_factory.mktemp("rich") / "home"
    open_images(Data(name="sample"), home=home)
    store = Store(home)
    for wanted in transfer_map.plan(TransferMap.of(FIRST, FIRST.phases[0].epochs), 1):
        finished(store, wanted.experiment, wanted.seed, right=0.5 + len(wanted.title) % 5 / 10)
    runs = {
        "one": finished(store, seed=8),
        "its other seed": finished(store, seed=9, right=0.77),
        "head only": finished(store, HEAD_ONLY, right=0.6),
    }
    store.close()
    server = Server(home)
    server.start()
    runs["trained"] = server.store.submit(smoke(FIRST), 1, "trained")
    deadline = time.monotonic() + 180
    while not (run := server.store.run(runs["trained"])).state.is_finished and time.monotonic() < deadline:
        time.sleep(0.5)
    assert run.state is State.DONE, run.reason
    yield Rich(server, runs)
    server.stop()
    server.store.close()


@pytest.fixture
def come(rich: Rich, browser: Any) -> Iterator[Callable[[], Visitor]]:
    """Lets somebody come; nothing may have gone wrong on their pages at the end."""
    visitors: list[Visitor] = []

    def another() -> Visitor:
        visitors.append(Visitor(rich.server.url, browser.new_context()))
        return visitors[-1]

    yield another
    for visitor in visitors:
        visitor.leave()


Come = Callable[[], Visitor]


@pytest.mark.thorough
def test_a_filled_transfer_map_passes(come: Come, violations: Check) -> None:
    visitor = come().open("Plan?view=map&seeds=1")
    visitor.expect(visitor.figures.first).to_be_visible()
    assert found_on(visitor, violations) == []


@pytest.mark.thorough
def test_a_guess_that_was_made_passes(come: Come, violations: Check) -> None:
    visitor = come().open("Plan?view=guess")
    visitor.main.get_by_role("button", name=re.compile(r"^Guess for \d")).click()
    visitor.expect(visitor.figures.first).to_be_visible()
    assert found_on(visitor, violations) == []


@pytest.mark.thorough
def test_seeds_put_together_pass(rich: Rich, come: Come, violations: Check) -> None:
    runs = ",".join(rich.runs[name] for name in ("one", "its other seed", "head only"))
    visitor = come().open(f"Compare?runs={runs}")
    visitor.sees("Runs that differ only in their seed are one group")
    assert found_on(visitor, violations) == []


@pytest.mark.thorough
def test_the_images_of_a_cell_of_the_matrix_pass(rich: Rich, come: Come, violations: Check) -> None:
    run = rich.runs["one"]
    true, predicted, *_ = load(rich.server.store.files.folder(run) / "test.npz").class_names
    visitor = come().open(f"Results?run={run}&true.test={true}&predicted.test={predicted}")
    visitor.sees(re.compile(rf"images? of {true}, predicted as {predicted}"))
    visitor.expect(visitor.images.first).to_be_visible()
    assert found_on(visitor, violations) == []


@pytest.mark.thorough
def test_the_inside_of_a_network_passes(rich: Rich, come: Come, violations: Check) -> None:
    visitor = come().open(f"Results?run={rich.runs['trained']}").unfold()
    visitor.main.get_by_role("button", name="Look inside", exact=True).click()
    visitor.sees("Last features in two dimensions")
    assert found_on(visitor, violations) == []


@pytest.mark.thorough
def test_what_a_network_makes_of_an_image_passes(rich: Rich, come: Come, violations: Check) -> None:
    visitor = come().open(f"Try?runs={rich.runs['trained']}")
    visitor.main.get_by_role("button", name="Classify", exact=True).click()
    visitor.sees("Where it comes from")
    assert found_on(visitor, violations) == []


@pytest.mark.thorough
@pytest.mark.parametrize("map", [False, True], ids=["of runs", "of a map"])
def test_every_step_of_a_lecture_passes_on_both_sides(rich: Rich, come: Come, violations: Check, map: bool) -> None:
    host, guest, found = come(), come(), {}
    runs = f"runs={rich.runs['one']},{rich.runs['head only']}&speed=20"
    host.open(f"Lecture?{'view=map&seeds=1' if map else runs}&role=presenter&key=hall-{map}")
    guest.open(f"Lecture?lecture={lecture_of(f'hall-{map}')}")
    for step, shown in {
        "question": "frozen" if map else "parameters train",
        "guess": "1 viewer guessed",
        "curves": "Recorded on" if map else "6.0 s of 6.0 s",
        "reveal": "of 1 viewer guessed",
    }.items():
        if step == "guess":
            guest.main.get_by_role("button", name=re.compile("^A1B" if map else "^output only")).click()
        elif step == "curves" and not map:
            host.main.get_by_role("button", name=re.compile("^Start")).click()
        for each, side in ((host, "presenter"), (guest, "audience")):
            each.sees(re.compile(shown))
            found[step, side] = found_on(each, violations)
        host.page.keyboard.press("PageDown")
    assert {place: problems for place, problems in found.items() if problems} == {}
