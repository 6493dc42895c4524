"""A login by an OpenID Connect provider, as SECURITY.md describes it."""

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser.provider import CLIENT, SECRET, provider
from tests.browser.server import Server
from tests.browser.visitor import Visitor


@pytest.fixture
def server(tmp_path: Path, browser: Any) -> Iterator[Server]:
    """The app with a login."""
    (tmp_path / "home").mkdir()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    with provider(port) as url:
        secrets = tmp_path / "secrets.toml"
        server = Server(tmp_path / "home", f"--secrets.files={secrets}")
        secrets.write_text(
            f'[auth]\nredirect_uri = "{server.url}/oauth2callback"\ncookie_secret = "long and random"\n'
            f'client_id = "{CLIENT}"\nclient_secret = "{SECRET}"\n'
            f'server_metadata_url = "{url}/.well-known/openid-configuration"\n'
        )
        server.start()
        yield server
        server.stop()
        server.store.close()


def test_who_is_logged_in_starts_runs_of_their_own_and_nobody_else_does(server: Server, browser: Any) -> None:
    visitor = Visitor(server.url, browser.new_context())
    button = visitor.page.get_by_role("button", name="Start the sample experiment")
    visitor.open()
    visitor.expect(button).to_be_disabled()
    visitor.page.get_by_role("button", name="Not logged in").click()
    visitor.expect(visitor.page.get_by_text("Log in to start runs and to change your own.")).to_be_visible()
    visitor.page.get_by_role("button", name="Log in", exact=True).click()
    visitor.page.wait_for_url(f"{server.url}/")
    visitor.expect(visitor.page.get_by_role("button", name="ada@example.org")).to_be_visible()
    button.click()
    visitor.page.wait_for_url("**/Live?**")
    visitor.expect(visitor.main.get_by_text("yours").first).to_be_visible()
    assert [run.person for run in server.store.runs()] == ["ada@example.org"]
    visitor.open()
    visitor.page.get_by_role("button", name="ada@example.org").click()
    visitor.page.get_by_role("button", name="Log out").click()
    visitor.expect(visitor.page.get_by_role("button", name="Not logged in")).to_be_visible()
    visitor.expect(button).to_be_disabled()
    assert not visitor.complaints
    visitor.context.close()
