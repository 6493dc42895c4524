"""Every page by an automated checker: with and without runs, light and wide, dark and on a phone, folds unfolded."""

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from sqlite3 import connect
from typing import Any

import pytest

from cifar_core.data.catalogue import open_images
from cifar_core.experiment.experiment import Data
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
    visitor.open(links[page]).looks(dark=False, width=1400).unfold()
    assert violations(visitor) == []
    visitor.looks(dark=True, width=390)
    assert violations(visitor, RULES_OF_LOOKS) == []
    assert not visitor.is_wider_than_the_window()
    assert visitor.cut_off() == []
    assert visitor.nameless() == []
    assert visitor.linked_headings() == 0 or page == "Glossary"  # there, other pages link to them
