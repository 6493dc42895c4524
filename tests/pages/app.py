"""The app in AppTest: pages by name, widgets by key or label, everything that a person can read as one text."""

import re
from pathlib import Path
from typing import Any

from streamlit.testing.v1 import AppTest

from cifar_core.ui import reads

ROOT = Path(__file__).parents[2]
PAGES = sorted(path.name for path in (ROOT / "pages").glob("*.py"))
FILES = {"Home": "app.py"} | {page.partition("_")[2].removesuffix(".py"): f"pages/{page}" for page in PAGES}
READABLE = ("value", "label", "message", "caption")
# All of them unfolded: tests read what is inside.
FOLDS = (
    "settings",
    "input",
    "share",
    *(f"{fold}.{phase}" for fold in ("layers", "options") for phase in range(12)),
    *(f"settings.layers.{phase}" for phase in range(12)),
    "fold.pareto",
    "fold.replay",
    "fold.pair",
    "fold.difference",
    "fold.features",
    *(f"fold.{part}" for part in ("epochs", "changes", "mistakes", "inside", "seconds", "settings", "speedup", "disk")),
    *(f"fold.{part}.{split}" for part in ("matrix", "metrics", "confused") for split in ("test", "validation")),
)


class App:
    """The app as one person sees it. Whatever is done, the page that follows must not have raised."""

    def __init__(self) -> None:
        self.test = AppTest.from_file(str(ROOT / "app.py"), default_timeout=120)
        self.test.session_state["people.name"] = ""  # AppTest has no cookies
        for fold in FOLDS:
            self.test.session_state[fold] = True

    def run(self) -> "App":
        """Run the page again, as a click would, a second later."""
        reads.runs.clear()
        reads.standing.clear()
        self.test.run()
        assert not self.test.exception, [each.message for each in self.test.exception]
        return self

    def open(self, page: str, **query: str | list[str]) -> "App":
        """Go to a page by its link."""
        self.test.switch_page(FILES[page])
        self.test.query_params = dict(query)
        return self.run()

    def click(self, label: str) -> "App":
        """Press the first button that reads like this."""
        self.button(label).click()
        return self.run()

    def button(self, label: str) -> Any:
        """Return the first button that reads like this."""
        found = [each for each in self.test.button if _plain(each.label) == label]
        assert found, f"no button {label!r} among {[each.label for each in self.test.button]}"
        return found[0]

    def has_button(self, label: str) -> bool:
        """Whether a button reads like this, and can be pressed."""
        return any(_plain(each.label) == label and not each.disabled for each in self.test.button)

    def widget(self, key: str) -> Any:
        """Return the widget with this key."""
        found = [each for each in self.elements() if getattr(each, "key", None) == key]
        assert found, f"no widget with the key {key!r}"
        return found[0]

    def set(self, **values: Any) -> "App":
        """Set fields of the form, `phases_1_x` standing for the key "form.1.x", and look."""
        for name, value in values.items():
            self.widget("form." + re.sub(r"^phases_(\d+)_", r"\1.", name)).set_value(value)
        return self.run()

    @property
    def state(self) -> Any:
        """The session's state."""
        return self.test.session_state

    @property
    def query(self) -> dict[str, Any]:
        """What stands in the page's address."""
        return dict(self.test.query_params)

    @property
    def title(self) -> str:
        """The page's title."""
        return str(self.test.title[0].value)

    def elements(self) -> list[Any]:
        """Return everything in the main part of the page."""
        return list(self.test.main)

    def text(self) -> str:
        """Return everything that stands on the page, tables and charts apart."""
        return "\n".join(
            _plain(words)
            for each in self.elements()
            for attribute in READABLE
            if isinstance(words := getattr(each, attribute, None), str)
        )

    def links(self) -> dict[str, str]:
        """Return the page's own links: what they read, and where they lead."""
        found = [each.proto for each in self.elements() if each.type == "page_link"]
        return {_plain(each.label): f"{each.page}?{each.query_string}".rstrip("?") for each in found}

    def tables(self) -> list[Any]:
        """Return the page's data frames."""
        return [each.value for each in self.test.dataframe]


def _plain(words: str) -> str:
    """Undo the escapes of text that is shown as it was typed."""
    return re.sub(r"\\(\W|_)", r"\1", words)
