"""Pages run by Streamlit's AppTest: a home of its own for every test, the sample drawn once, nothing trained."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import streamlit as st
from streamlit.runtime.scriptrunner.script_cache import ScriptCache

from cifar_core.data.catalogue import open_images
from cifar_core.experiment.experiment import Data
from cifar_core.runs.store import Store
from tests.filled_store import fill
from tests.pages.app import App


@pytest.fixture(scope="session", autouse=True)
def prepared_once() -> Iterator[None]:
    """AppTest compiles a page for every run, and looks through all installed packages for components, of which no page
    uses any: a server does both once."""
    compiled = ScriptCache()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("streamlit.testing.v1.local_script_runner.ScriptCache", lambda: compiled)
        patch.setattr("streamlit.components.v2.manifest_scanner.scan_component_manifests", list)
        yield


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home where the sample has been drawn."""
    home = tmp_path_factory.mktemp("drawn")
    open_images(Data(name="sample"), home=home)
    return home


@pytest.fixture
def home(tmp_path: Path, drawn: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty home with the sample and without CIFAR-10; nothing cached."""
    home = tmp_path / "home"
    home.mkdir()
    bring_images(drawn, home)
    monkeypatch.setenv("TRANSFER_LAB_HOME", str(home))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    forget()
    yield home
    forget()


def bring_images(drawn: Path, home: Path) -> None:
    try:
        (home / "data").symlink_to(drawn / "data", target_is_directory=True)
    except OSError:  # Windows, without the right to make links
        shutil.copytree(drawn / "data", home / "data")


def forget() -> None:
    st.cache_resource.clear()


@pytest.fixture
def store(home: Path) -> Iterator[Store]:
    store = Store(home)
    yield store
    store.close()


@pytest.fixture(scope="session")
def full(tmp_path_factory: pytest.TempPathFactory, drawn: Path) -> tuple[Path, dict[str, str]]:
    """A home with a run in every state, to be copied; and their ids."""
    home = tmp_path_factory.mktemp("full")
    bring_images(drawn, home)
    store = Store(home)
    runs = fill(store)
    store.close()
    return home, runs


@pytest.fixture
def runs(home: Path, full: tuple[Path, dict[str, str]]) -> dict[str, str]:
    """The ids of runs in every state, by what they are, in the home's store."""
    shutil.copytree(full[0] / "runs", home / "runs")
    shutil.copy(full[0] / "store.sqlite", home)
    return full[1]


@pytest.fixture
def app(home: Path) -> App:
    """The app as one person sees it, no page opened yet."""
    return App()
