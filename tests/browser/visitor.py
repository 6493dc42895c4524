"""One person with a browser: where they click and what they see. All selectors are here."""

import re
from typing import Any

WAIT = 60_000
DOUBLE_CLICK = 600
"""Plotly takes two clicks within 500 ms, wherever they are, for a double click, which takes a choice back."""
TRAINING = re.compile(r"^training, phase \d of \d .*, epoch \d+ of")


class Visitor:
    """A browser context of its own, with one page. Notes what the page complains about and what it loads."""

    def __init__(self, url: str, context: Any):
        from playwright.sync_api import expect

        self.url, self.context, self.expect = url, context, expect
        expect.set_options(timeout=WAIT)
        context.set_default_timeout(WAIT)
        self.page = context.new_page()
        self.complaints: list[str] = []
        self.strangers: set[str] = set()
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", self._request)

    def _console(self, message: Any) -> None:
        # Streamlit's page looks for its server below the page's own address first.
        if message.type == "error" and "/_stcore/" not in message.location.get("url", ""):
            self.complaints.append(message.text)

    def _request(self, request: Any) -> None:
        if not request.url.startswith((self.url, "data:", "blob:")):
            self.strangers.add(request.url)

    def open(self, address: str = "") -> "Visitor":
        """Open a link and wait for the page."""
        self.page.goto(f"{self.url}/{address}")
        return self.settle()

    def settle(self) -> "Visitor":
        """Wait until the script has run."""
        self.expect(self.page.locator("[data-testid=stApp][data-test-script-state=notRunning]")).to_be_visible()
        self.expect(self.main.get_by_role("heading", level=1)).to_be_visible()
        return self

    def looks(self, *, dark: bool, width: int) -> "Visitor":
        """Look at the page in a dark or a light browser of that width, in pixels."""
        self.page.emulate_media(color_scheme="dark" if dark else "light")
        self.page.set_viewport_size({"width": width, "height": 900})
        self.until(lambda: (self.brightness() < 128) == dark)
        self.page.wait_for_timeout(300)  # what the server draws in other colors follows
        return self.settle()

    def unfold(self) -> "Visitor":
        """Open all folds, and those within them."""
        folds = "[data-testid=stMain] details:not([open]) > summary"
        opening = f"() => [...document.querySelectorAll('{folds}')].map(each => each.click()).length"
        while self.page.evaluate(opening):
            self.page.wait_for_timeout(300)
            self.settle()
        return self

    def leave(self) -> None:
        """Close the page; nothing may have gone wrong on it."""
        assert "Traceback" not in self.main.inner_text()
        self.context.close()
        assert not self.complaints, self.complaints
        assert not self.strangers, self.strangers

    @property
    def main(self) -> Any:
        """The page."""
        return self.page.get_by_test_id("stMain")

    @property
    def start(self) -> Any:
        """The button that starts."""
        return self.main.get_by_role("button", name="Start", exact=True)

    @property
    def stop(self) -> Any:
        """The button that stops the run."""
        return self.main.get_by_role("button", name="Stop", exact=True)

    @property
    def charts(self) -> Any:
        """The live curves, drawn."""
        return self.main.get_by_test_id("stVegaLiteChart").locator("canvas, svg").locator("visible=true")

    @property
    def figures(self) -> Any:
        """The figures that stand still, drawn."""
        return self.main.locator(".js-plotly-plot .main-svg").locator("visible=true")

    @property
    def images(self) -> Any:
        """The images of a data set that are shown."""
        return self.main.locator(".gallery img")

    def click_cell(self, row: int, column: int, classes: int) -> None:
        """Click on a cell of the first confusion matrix, near its left edge."""
        figure = self.main.get_by_role("figure", name=re.compile("^Confusion matrix"))
        matrix = figure.first.locator(".nsewdrag").first
        self.expect(matrix).to_be_visible()
        self.page.wait_for_timeout(DOUBLE_CLICK)
        box = matrix.bounding_box()
        place = {"x": (column + 0.2) * box["width"] / classes, "y": (row + 0.5) * box["height"] / classes}
        matrix.click(position=place, force=True)
        self.settle()

    @property
    def run(self) -> str:
        """The run that the address names."""
        self.page.wait_for_url(re.compile(r"run=\w+"))
        found = re.search(r"[?&]run=(\w+)", self.page.url)
        assert found
        return found[1]

    def epoch(self) -> int:
        """The epoch that the run says it is in."""
        found = re.search(r"epoch (\d+) of", self.main.get_by_text(TRAINING).first.inner_text())
        assert found
        return int(found[1])

    def sees(self, words: str | re.Pattern[str]) -> None:
        """Wait for words on the page."""
        self.expect(self.main.get_by_text(words).first).to_be_visible()

    def stands(self, words: str | re.Pattern[str]) -> None:
        """Wait until the run that is looked at stands so."""
        self.expect(self.main.locator(".st-key-status").get_by_text(words)).to_be_visible()

    def until(self, condition: Any) -> None:
        """Wait until the condition holds, a few looks a second."""
        for _ in range(WAIT // 200):
            if condition():
                return
            self.page.wait_for_timeout(200)
        raise AssertionError("waited in vain")

    def tab(self) -> str:
        """Press Tab, and return the name of what has the focus then."""
        self.page.keyboard.press("Tab")
        words = self.page.evaluate("document.activeElement.ariaLabel || document.activeElement.innerText")
        lines = (line.strip() for line in words.splitlines())
        return next((line for line in lines if not re.fullmatch("[a-z_]*", line)), "")  # an icon is a word, too

    def is_wider_than_the_window(self) -> bool:
        """Whether the page would have to be scrolled sideways."""
        return bool(
            self.page.evaluate(
                "[document.documentElement, document.querySelector('[data-testid=stMain]')]"
                ".some(each => each.scrollWidth > each.clientWidth + 1)"
            )
        )

    def cut_off(self) -> list[str]:
        """Return the links and chosen options whose words are cut off."""
        named = self.main.locator("[data-testid=stPageLink] p, [data-tag] > span")
        cut = "found => found.filter(each => each.scrollWidth > each.clientWidth + 1).map(each => each.innerText)"
        return list(named.evaluate_all(cut))

    def nameless(self) -> list[str]:
        """Return the charts, tables and pictures that have no name for a screen reader."""
        drawn = self.main.locator(
            "[data-testid=stPlotlyChart], [data-testid=stVegaLiteChart], [data-testid=stDataFrame], img"
        )
        name = "each.closest('[aria-label]:not([aria-label^=Vega]), [alt]')"  # Vega's own says nothing
        within = "each.querySelector('[aria-label]:not(button)')"
        return list(
            drawn.evaluate_all(f"found => found.filter(each => !({name} ?? {within})).map(each => each.outerHTML)")
        )

    def linked_headings(self) -> int:
        """How many headings link to themselves: each is a stop of the Tab key."""
        return int(self.main.locator(":is(h1, h2, h3, h4, h5, h6) a").count())

    def brightness(self) -> float:
        """How bright the page's background is, from 0 to 255."""
        colour = self.page.get_by_test_id("stApp").evaluate("each => getComputedStyle(each).backgroundColor")
        return sum(map(float, re.findall(r"[\d.]+", colour)[:3])) / 3

    def x_axis(self) -> str:
        """The first chart's labels below the x axis."""
        return str(self.charts.first.locator(".role-axis-label").first.text_content())
