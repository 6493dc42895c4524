"""A browser and a server for all tests of this folder; whatever a page loads or complains about is looked at."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest

from tests.browser.server import Server
from tests.browser.visitor import Visitor

ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]


def skip(reason: str) -> NoReturn:
    """Skip a test, or fail it where TRANSFER_LAB_NO_SKIPS=1 says that everything must be there."""
    if os.environ.get("TRANSFER_LAB_NO_SKIPS") == "1":
        pytest.fail(f"would be skipped: {reason}")
    pytest.skip(reason)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium, without a window."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        skip("playwright is not installed")
    named = os.environ.get("TRANSFER_LAB_CHROMIUM")
    path = named or next(filter(None, map(shutil.which, ("chromium", "google-chrome", "chromium-browser"))), None)
    if path is None:
        skip("there is no chromium; TRANSFER_LAB_CHROMIUM names one")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, browser: Any) -> Iterator[Server]:
    """The app, served until the module's tests are over."""
    home = tmp_path_factory.mktemp("served") / "home"
    home.mkdir()
    server = Server(Path(home))
    server.start()
    yield server
    server.stop()
    server.store.close()


@pytest.fixture
def visit(server: Server, browser: Any) -> Iterator[Callable[..., Visitor]]:
    """Lets somebody come with a browser of their own; nothing may have gone wrong on their pages at the end."""
    visitors: list[Visitor] = []

    def come(**options: Any) -> Visitor:
        visitors.append(
            Visitor(server.url, browser.new_context(**{"viewport": {"width": 1400, "height": 900}, **options}))
        )
        return visitors[-1]

    server.rest()
    yield come
    for visitor in visitors:
        visitor.leave()
    server.rest()
