"""What the app costs and how soon it answers, in a real server and a real browser. Prints JSON; takes minutes.

    python -m benchmarks.app [--json] [--openings 7] [--seconds 30] [--changes 40] [--starts 3]

The server starts with a temporary home in which the sample is drawn already, and Chromium drives it on the same
machine: where a figure contains the browser's work, the server's part stands beside it. Seconds unless named ms.

- `usable`: from the server's start until its health answers, and until Home's main button is visible, in a browser
  without cache; each time by a server of its own.
- `start`: from the click on Start, with a spare worker ready, until something measured is in the store, and until
  the chart shows a mark.
- `tick_ms`: CPU of the server process per look of one Live page at an active run: that of a time with the page open,
  minus as much time without. A look is what the browser hears of at once. Training has processes of its own.
- `pages_ms`: from a click in the navigation until the new page's title and main element are visible, at rest and
  during that training. `answered`: until the server said that its script has ended, as the browser heard it.
- `memory_mb`: the server process alone, after all that and at its highest.
"""

import argparse
import json
import os
import random
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import psutil
from playwright.sync_api import Browser, Page, sync_playwright
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from cifar_core.data.catalogue import open_images
from cifar_core.experiment.experiment import Data
from cifar_core.experiment.measured import Run, State
from cifar_core.runs.store import Store

ROOT = Path(__file__).resolve().parents[1]
CHROMIUM_ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
LONG = ("data.name=sample", "data.per_class=200", "phases.0.epochs=5000")
"""Training that outlasts the benchmark, in epochs of a second or less."""

START_BUTTON = '[data-testid="stMain"] [data-testid="stBaseButton-primary"]'
# page: its title, as in the navigation, and what it is there for
PAGES = {
    "Home": ("Transfer Lab", START_BUTTON),
    "Experiment": ("Experiment", ".st-key-start button"),
    "Live": ("Live", ".st-key-live-accuracy-epoch svg.marks"),
    "Results": ("Results", '[data-testid="stPlotlyChart"] .main-svg'),
    "Compare": ("Compare", '[data-testid="stMultiSelect"]'),
    "Plan": ("Plan", ".st-key-plan-start button"),
    "Try": ("Try", '[data-testid="stNumberInput"]'),
    "Notebook": ("Notebook", '[data-testid="stCheckbox"]'),
    "Published": ("Published", '[data-testid="stDataFrame"]'),
    "Glossary": ("Glossary", "#validation"),
}

LISTEN = """
window.frames_seen = [];
window.WebSocket = class extends window.WebSocket {
    constructor(...all) {
        super(...all);
        this.addEventListener("message", ({data}) => window.frames_seen.push(
            {at: performance.now(), bytes: data.byteLength < 200 ? [...new Uint8Array(data)] : null}));
    }
    send(data) {
        window.frames_seen.push({at: performance.now(), sent: true});
        super.send(data);
    }
};
"""
LINK = '.st-key-navigation [data-testid="stPageLink-NavLink"]'
CHANGE = """
([title, element]) => new Promise((resolve, reject) => {
    const seen = found => found !== null && found.getClientRects().length > 0;
    const links = document.querySelectorAll('.st-key-navigation [data-testid="stPageLink-NavLink"]');
    window.frames_seen = [];
    const clicked = performance.now();
    [...links].find(one => one.innerText.trim().endsWith(title)).click();
    const look = () => {
        const heading = document.querySelector("h1");
        if (seen(heading) && heading.innerText.trim() === title && seen(document.querySelector(element)))
            resolve({clicked, visible: performance.now()});
        else if (performance.now() - clicked > 30000)
            reject(new Error(`${title} has not come`));
        else
            requestAnimationFrame(look);
    };
    requestAnimationFrame(look);
})
"""
LOOKS = "window.frames_seen.filter(({at}, n, all) => n === 0 || at - all[n - 1].at > 100).length"
SEEN = """
selector => new Promise(resolve => {
    const look = () => {
        const found = document.querySelector(selector);
        if (found !== null && found.getClientRects().length > 0)
            resolve(Date.now() / 1000);
        else
            requestAnimationFrame(look);
    };
    look();
})
"""
START = """
selector => {
    window.first_mark = null;
    const look = () => {
        const marks = document.querySelectorAll(".st-key-live-accuracy-epoch svg .mark-symbol.role-mark path");
        if ([...marks].some(mark => mark.getBoundingClientRect().width > 0))
            window.first_mark = Date.now() / 1000;
        else
            setTimeout(look, 50);
    };
    look();
    const clicked = Date.now() / 1000;
    document.querySelector(selector).click();
    return clicked;
}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=30.0, help="of watching, and of not watching")
    parser.add_argument("--changes", type=int, default=40, help="of the page")
    parser.add_argument("--openings", type=int, default=7, help="of the first page, each by a server of its own")
    parser.add_argument("--starts", type=int, default=3, help="at least 2, since Compare needs two runs")
    parser.add_argument("--json", action="store_true", help="accepted for likeness: the output always is JSON")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        home = Path(folder)
        open_images(Data(name="sample"), home=home)
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium") or shutil.which("google-chrome"), args=CHROMIUM_ARGUMENTS
        )
        context = browser.new_context(viewport={"width": 1400, "height": 900})
        context.add_init_script(LISTEN)
        load_before = psutil.getloadavg()[0]
        usable = [_first_page(home, browser) for _ in range(chosen.openings)]
        with Server(home) as server:
            with closing(context.new_page()) as page:
                starts = [_start(server, page, finish=number < 2) for number in range(chosen.starts)]
                pages = {"at_rest": _pages(server, page, chosen.changes)}
                run = _train_long(server, page)
            tick = _tick(server, context.new_page, run, chosen.seconds)
            with closing(context.new_page()) as page:
                pages["while_training"] = _pages(server, page, chosen.changes)
            memory = server.memory_mb()
            machine = server.store.run(run.id).environment["hardware"]
        browser.close()
    document = {
        "machine": machine,
        "load_before": round(load_before, 1),
        "settings": vars(chosen),
        "usable": {name: _spread([each[name] for each in usable]) for name in usable[0]},
        "start": {name: _spread([start[name] for start in starts]) for name in starts[0]},
        "tick_ms": tick,
        "pages_ms": pages,
        "memory_mb": memory,
        "processes_left": server.left,
    }
    print(json.dumps(document, indent=2))


class Server:
    """A server of its own, with all its processes, as long as the context lasts."""

    def __init__(self, home: Path):
        self.store = Store(home)
        self.left = 0
        self._log = home / "server.log"
        self._over = threading.Event()
        self._highest = 0

    def __enter__(self) -> "Server":
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        options = ("--server.headless=true", f"--server.port={self.port}", "--server.address=127.0.0.1")
        with self._log.open("wb") as log:
            self.started = time.time()
            process = subprocess.Popen(
                [sys.executable, "-m", "streamlit", "run", "app.py", *options],
                cwd=ROOT,
                env=os.environ | {"TRANSFER_LAB_HOME": str(self.store.home)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self._popen, self.process = process, psutil.Process(process.pid)
        self._sampler = threading.Thread(target=self._sample)
        self._sampler.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._sampler.join()
        family = self.process.children(recursive=True)
        self._popen.terminate()
        try:
            self._popen.wait(20)
        except subprocess.TimeoutExpired:
            self._popen.kill()
        left = psutil.wait_procs(family, timeout=5)[1]
        self.left = len(left)
        for process in left:
            process.kill()
        self.store.close()

    def _sample(self) -> None:
        while not self._over.wait(0.1):
            self._highest = max(self._highest, self.process.memory_info().rss)

    def url(self, page: str = "", **parameters: Any) -> str:
        return f"http://127.0.0.1:{self.port}/{page}?{urlencode(parameters, doseq=True)}"

    def wait_for_health(self) -> None:
        def healthy() -> bool:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/_stcore/health", timeout=1) as answer:
                    return bool(answer.status == 200)
            except OSError:
                return False

        until(healthy, 30, pause=0.01)

    def wait_for_spare(self) -> None:
        """Wait until exactly one worker is there, has done its imports and rests."""

        def resting() -> bool:
            workers = self.process.children()
            if len(workers) != 1 or any(not run.state.is_finished for run in self.store.runs()):
                return False
            try:
                before = _cpu(workers[0])
                time.sleep(1.5)
                return before > 1.0 and _cpu(workers[0]) - before < 0.03
            except psutil.Error:
                return False  # it has just ended

        until(resting, 120)

    def cpu(self) -> float:
        return _cpu(self.process)

    def memory_mb(self) -> dict[str, float]:
        now = self.process.memory_info().rss
        return {"after": round(now / 1e6, 1), "highest": round(max(now, self._highest) / 1e6, 1)}


@contextmanager
def closing(page: Page) -> Iterator[Page]:
    """A tab, closed at the end."""
    page.set_default_timeout(60_000)
    yield page
    page.close()


def until(holds: Callable[[], Any], seconds: float, *, pause: float = 0.02) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError(f"Not within {seconds:.0f} s: {holds.__qualname__}")
        time.sleep(pause)


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _first_page(home: Path, browser: Browser) -> dict[str, float]:
    """Start a server, and come to it with an empty cache."""
    with Server(home) as server, closing(browser.new_page()) as page:
        server.wait_for_health()
        healthy = time.time()
        page.goto(server.url(), wait_until="commit")
        visible = page.evaluate(SEEN, START_BUTTON)  # Playwright itself looks only every half second
    return {
        "health": healthy - server.started,
        "browser": visible - healthy,
        "main_button": visible - server.started,
    }


def _start(server: Server, page: Page, *, finish: bool) -> dict[str, float]:
    """Start the sample experiment; the first two are left to finish, so that pages have something to show."""
    server.wait_for_spare()
    page.goto(server.url())
    page.wait_for_selector(START_BUTTON)
    time.sleep(1)
    known = {run.id for run in server.store.runs()}
    clicked = page.evaluate(START, START_BUTTON)
    measured: list[float] = []

    def something() -> bool:
        new = [run for run in server.store.runs() if run.id not in known]
        if new and any(phase.before or phase.points for phase in server.store.history(new[0].id)):
            measured.append(time.time())
        return bool(measured)

    until(something, 60, pause=0.01)
    page.wait_for_function("window.first_mark !== null")
    run = server.store.runs(limit=1)[0]
    if not finish:
        server.store.request_stop(run.id)
    until(lambda: server.store.run(run.id).state.is_finished, 300, pause=0.2)
    server.store.archive(run.id, not finish)  # the Results page opens on the last run: one with results
    return {"first_measured": measured[0] - clicked, "first_mark": page.evaluate("window.first_mark") - clicked}


def _train_long(server: Server, page: Page) -> Run:
    """Start a long training on a form that a link opened, and wait for its third epoch."""
    server.wait_for_spare()
    page.goto(server.url("Experiment", start="scratch", set=LONG))
    page.click(".st-key-start button")
    until(lambda: server.store.runs(states=[State.TRAINING]), 60)
    run = server.store.runs(states=[State.TRAINING])[0]
    until(lambda: sum(len(phase.epochs) for phase in server.store.history(run.id)) > 2, 120, pause=0.2)
    return run


def _tick(server: Server, new_page: Callable[[], Page], run: Run, seconds: float) -> dict[str, float]:
    """Twice half of the time without and with a Live page, in turns."""
    cpu, looks = {"idle": 0.0, "live": 0.0}, 0
    for _ in range(2):
        time.sleep(2)
        cpu["idle"] += _used(server, seconds / 2)
        with closing(new_page()) as page:
            page.goto(server.url("Live", run=run.id))
            page.wait_for_selector(PAGES["Live"][1])
            time.sleep(4)
            page.evaluate("window.frames_seen = []")
            cpu["live"] += _used(server, seconds / 2)
            looks += page.evaluate(LOOKS)
    histories = server.store.history(run.id)
    return {
        "cpu": round(1000 * (cpu["live"] - cpu["idle"]) / looks, 1),
        "looks_per_second": round(looks / seconds, 2),
        "idle_cpu_per_second": round(1000 * cpu["idle"] / seconds, 1),
        "epochs_drawn": sum(len(phase.epochs) for phase in histories),
        "points_drawn": sum(len(phase.points) for phase in histories),
    }


def _used(server: Server, seconds: float) -> float:
    before = server.cpu()
    time.sleep(seconds)
    return server.cpu() - before


def _pages(server: Server, page: Page, changes: int) -> dict[str, Any]:
    """Change pages at random, each page having been visited once before."""
    page.goto(server.url("Live"))
    page.wait_for_selector(PAGES["Live"][1])
    page.wait_for_selector(LINK)  # has a script of its own, which may come after the charts
    at, chance = "Live", random.Random(0)
    for name in PAGES:
        if name != at:
            _change(page, name)
            at = name
    psutil.cpu_percent()
    before = server.cpu()
    seen: dict[str, list[tuple[float, float]]] = {}
    for _ in range(changes):
        at = chance.choice([name for name in PAGES if name != at])
        seen.setdefault(at, []).append(_change(page, at))
    everything = [pair for pairs in seen.values() for pair in pairs]
    return {
        "visible": _spread([visible for visible, _ in everything]),
        "answered": _spread([answered for _, answered in everything]),
        "visible_by_page": {name: _spread([visible for visible, _ in pairs]) for name, pairs in seen.items()},
        "answered_by_page": {name: _spread([answered for _, answered in pairs]) for name, pairs in seen.items()},
        "server_cpu": round(1000 * (server.cpu() - before) / changes, 1),
        "machine_busy": psutil.cpu_percent() / 100,
        "training": len(server.store.runs(states=[State.TRAINING])),
    }


def _change(page: Page, name: str) -> tuple[float, float]:
    """Change to a page; return the ms until it was visible, and until the server's script had ended."""
    times = page.evaluate(CHANGE, PAGES[name])
    ended: list[float] = []

    def answered() -> bool:
        frames = page.evaluate("window.frames_seen.filter(frame => frame.bytes)")
        ended.extend(frame["at"] for frame in frames if _is_end(bytes(frame["bytes"])))
        return bool(ended)

    until(answered, 10, pause=0.1)
    time.sleep(0.3)
    return times["visible"] - times["clicked"], ended[0] - times["clicked"]


def _is_end(frame: bytes) -> bool:
    """Whether a message says that a whole page's script, not only a fragment's, has ended well."""
    message = ForwardMsg.FromString(frame)
    if message.WhichOneof("type") != "script_finished":
        return False
    return bool(message.script_finished == ForwardMsg.FINISHED_SUCCESSFULLY)


def _spread(values: list[float]) -> dict[str, float]:
    ordered = sorted(values)
    at = 0.95 * (len(ordered) - 1)
    low = ordered[int(at)]
    return {
        "median": round(statistics.median(ordered), 2),
        "p95": round(low + (at - int(at)) * (ordered[min(int(at) + 1, len(ordered) - 1)] - low), 2),
        "most": round(ordered[-1], 2),
        "n": len(ordered),
    }


if __name__ == "__main__":
    main()
