"""How soon every view of results is there, on runs of 10,000 test images, in a real server and browser. Prints JSON.

    python -m benchmarks.views [--times 5] [--json]

The home is temporary. Eight runs of CIFAR-10 with 100 epochs each, and all runs of a race and of a transfer map on the
sample, are made up and written as workers would; the images are real, and downloaded where they are not on this
computer. Chromium runs on the same machine. Each view is opened so many `times`, the first included, by the click or
the key that opens it for people:

- `server_cpu_ms`: CPU of the server process from just before the click until half a second after its script has ended.
  All that a click costs is in it: where the page runs again as a whole, the whole page; and the supervisor beside it.
- `seen_s`: from the click, as the page hears of it, until what was asked for is drawn, looked for in each of the
  browser's frames: figures and tables with their new content, pictures when they are decoded.
- `over`: the views whose medians are over 300 ms of CPU or 1 s; for the page of Compare, 500 ms of CPU.
"""

import argparse
import json
import shutil
import statistics
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from playwright.sync_api import Page, sync_playwright
from tqdm import tqdm

from benchmarks.app import CHROMIUM_ARGUMENTS, Server, closing
from cifar_core.analysis import moments
from cifar_core.analysis.linked import plan_of
from cifar_core.analysis.metrics import measure
from cifar_core.analysis.plan import Wanted
from cifar_core.analysis.plan_link import MAP
from cifar_core.analysis.predictions import Predictions
from cifar_core.analysis.samples import SELECTIONS
from cifar_core.data.arrays import Images
from cifar_core.data.catalogue import open_images
from cifar_core.experiment.experiment import Data, Experiment
from cifar_core.experiment.links import FIRST
from cifar_core.experiment.measured import Before, Epoch, Moment, Point, State
from cifar_core.experiment.settings import apply
from cifar_core.experiment.wording import output_names
from cifar_core.runs.store import Store
from cifar_core.training.followed import evenly
from cifar_core.training.hardware import hardware

CPU_MS, COMPARE_CPU_MS, SEEN_S = 300, 500, 1.0
EPOCHS, POINTS = 50, 250
"""Of each of the two phases of a compared run."""
LOOKING = """
const all = selector => [...document.querySelectorAll(selector)].filter(one => one.getClientRects().length);
const title = within => all(`${within} .gtitle`).map(one => one.textContent).join();
const drawn = (within, words = "") => all(`${within} .main-svg`).length > 0 && title(within).includes(words);
const labels = within => all(`${within} .xtick`).map(one => one.textContent).join();
const painted = one => one.getContext("2d").getImageData(one.width / 2, 0, 1, one.height).data.some(Boolean);
const marks = within => all(`${within} svg .mark-line path`).length > 0 || all(`${within} canvas.marks`).some(painted);
const table = name => all(`[aria-label^="${name}"] canvas`).length > 0;
const pictures = (within, words) => {
    const found = all(`${within} .gallery img`);
    return found.length > 0 && found.every(one => one.complete && one.naturalWidth)
        && all(within)[0].innerText.includes(words);
};
const watch = seen => {
    let began = null;
    for (const kind of ["pointerdown", "keydown"])
        document.addEventListener(kind, () => began ??= performance.now(), {capture: true, once: true});
    window.seen_after = new Promise((resolve, reject) => {
        const look = () => {
            if (began !== null && seen())
                resolve((performance.now() - began) / 1000);
            else if (began !== null && performance.now() - began > 30000)
                reject(new Error(`not seen: ${seen}`));
            else
                requestAnimationFrame(look);
        };
        look();
    });
};
Object.assign(window, {title, drawn, labels, marks, table, pictures, watch});
"""

Act = Callable[[Page], None]


@dataclass(frozen=True)
class View:
    """What people do to see something, and what holds in the page as soon as they see it (JavaScript).

    `seen` may compare with `known`, the value of `before`, taken when they begin. What leads there and back is not
    measured: `enter` before the first time, `undo` between times, `leave` after the last.
    """

    name: str
    act: Act
    seen: str
    undo: Act = lambda page: None
    enter: Act = lambda page: None
    leave: Act = lambda page: None
    before: str = "null"
    cpu_ms: float = CPU_MS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=5, help="that each view is opened")
    parser.add_argument("--json", action="store_true", help="accepted for likeness: the output always is JSON")
    chosen = parser.parse_args()
    load_before = psutil.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        compared = fill(Path(folder))
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium") or shutil.which("google-chrome"), args=CHROMIUM_ARGUMENTS
        )
        context = browser.new_context(viewport={"width": 1400, "height": 900})
        context.add_init_script(LOOKING)
        found: dict[str, Any] = {}
        with Server(Path(folder)) as server:
            server.wait_for_health()
            server.wait_for_spare()
            for title, views in {"Results": of_results(), "Compare": of_compare(), "Plan": of_plan()}.items():
                with closing(context.new_page()) as page:
                    page.goto(server.url(title, runs=",".join(compared), run=compared[0]))
                    _settle(page)
                    _away(page)
                    for view in tqdm(views, desc=title):
                        found[view.name] = _measured(server, page, view, chosen.times)
        browser.close()
    document = {
        "machine": hardware(),
        "load": {"before": round(load_before, 1), "after": round(psutil.getloadavg()[0], 1)},
        "settings": vars(chosen),
        "views": found,
        "over": [name for name, each in found.items() if each.pop("over")],
    }
    print(json.dumps(document, indent=2))


def of_results() -> list[View]:
    """The views of one run."""
    matrix, scrubber, samples = ".st-key-matrix-test", ".st-key-replay-matrix", ".st-key-fold-mistakes"
    return [
        View("matrix and report per class", _go("Results"), f"drawn('{matrix}') && table('Report per class')", _away),
        *(
            View(
                f"matrix, {cells}",
                _choose("cells.test", cells),
                f"drawn('{matrix}', '{words}')",
                _choose("cells.test", other),
            )
            for cells, words, other in (
                ("row %", "of the true class", "counts"),
                ("column %", "of the predicted class", "counts"),
                ("counts", "counts", "row %"),
            )
        ),
        _changing("matrix, hierarchy", lambda page: page.click(".st-key-sorted-test label"), f"labels('{matrix}')"),
        _unfold("most confused pairs and groups", "fold.confused.test", "table('Groups of classes')"),
        _unfold("scrubber", "fold.replay", f"drawn('{scrubber}') && pictures('.st-key-fold-replay', 'epoch')"),
        _changing(
            "scrubber, a step",
            lambda page: page.locator('.st-key-fold-replay input[type="range"]').press("ArrowLeft"),
            f"title('{scrubber}')",
            _toggle("fold.replay"),
        ),
        _unfold("samples", "fold.mistakes", f"pictures('{samples}', '{SELECTIONS[0].meaning}')"),
        *(
            View(
                f"samples, {selection.title}",
                _choose("which", selection.title),
                f"pictures('{samples}', '{selection.meaning}') && table('Test images: {selection.title}')",
                _choose("which", SELECTIONS[0].title),
                enter=_toggle("fold.mistakes"),
                leave=_toggle("fold.mistakes"),
            )
            for selection in SELECTIONS[1:]
        ),
        View("opened cell", _click_cell, "pictures('[data-testid=\"stMain\"]', 'predicted as')", _click_cell),
    ]


def of_compare() -> list[View]:
    """The views of eight runs side by side."""
    last, pair = ".st-key-matrix-7", ".st-key-fold-pair"
    whole = f"marks('.st-key-compare-loss-epoch') && drawn('.st-key-ledgers') && drawn('{last}', 'of the true class')"
    counts, shares = (_choose("compare.cells", cells) for cells in ("counts", "row %"))
    first = "table('The groups side by side')"
    views = (
        View("compare, verdict and groups, which come first", _go("Compare"), first, _away),
        View("compare, the whole page of 8 runs", _go("Compare"), whole, _away, enter=_away),
        View("compare, counts", counts, f"drawn('{last}', 'counts')", shares, leave=shares),
        _unfold("Pareto", "fold.pareto", "drawn('.st-key-pareto-seconds')"),
        _unfold(
            "difference matrix and the same images",
            "fold.pair",
            f"drawn('.st-key-difference') && pictures('{pair}', 'both right')",
        ),
    )
    return [replace(view, cpu_ms=COMPARE_CPU_MS) for view in views]


def of_plan() -> list[View]:
    """The race and the transfer map, all of their runs done."""
    race = "marks('[aria-label^=\"Validation accuracy over seconds\"]') && table('The strategies side by side')"
    return [
        View("race", _go("Plan"), race, _away),
        View(
            "transfer map",
            _choose("plan.view", "Transfer map"),
            "drawn('.st-key-plan-figure') && table('The points of the map')",
            _choose("plan.view", "Strategies"),
        ),
    ]


def _go(title: str) -> Act:
    return lambda page: page.locator(".st-key-navigation a").filter(has_text=title).click()


def _away(page: Page) -> None:
    """Go to another page, and wait."""
    _go("Glossary")(page)
    page.wait_for_selector("#validation")
    _settle(page)


def _choose(key: str, option: str) -> Act:
    return lambda page: page.locator(f"{_keyed(key)} button").filter(has_text=option).click()


def _keyed(key: str) -> str:
    return f".st-key-{key.replace('.', '-')}"


def _toggle(fold: str) -> Act:
    return lambda page: page.locator(f"{_keyed(fold)} summary").first.click()


def _unfold(name: str, fold: str, seen: str) -> View:
    return View(name, _toggle(fold), seen, _toggle(fold), leave=_toggle(fold))


def _changing(name: str, act: Act, what: str, around: Act = lambda page: None) -> View:
    return View(name, act, f"{what} !== known", enter=around, leave=around, before=what)


def _click_cell(page: Page) -> None:
    """The first row's second cell; another click takes it back."""
    page.wait_for_timeout(600)  # Plotly takes two clicks within 500 ms for a double click
    matrix = page.locator(".st-key-matrix-test .nsewdrag").first
    width, height = matrix.evaluate("each => [each.getBoundingClientRect().width, each.getBoundingClientRect().height]")
    matrix.click(position={"x": 1.5 * width / 10, "y": 0.5 * height / 10}, force=True)


def _settle(page: Page) -> None:
    """Wait until the server's script has ended, and half a second more."""
    page.wait_for_timeout(200)  # it may not have begun
    page.wait_for_selector('[data-testid="stApp"][data-test-script-state="notRunning"]')
    page.wait_for_timeout(500)


def _measured(server: Server, page: Page, view: View, times: int) -> dict[str, Any]:
    """Open a view so many times."""
    cpu, seen = list[float](), list[float]()
    for prepare in [view.enter, *[view.undo] * (times - 1)]:
        prepare(page)
        _settle(page)
        page.wait_for_function(f"known => !({view.seen})", arg=page.evaluate(view.before))
        page.evaluate(f"known => watch(() => {view.seen})", page.evaluate(view.before))
        used = server.cpu()
        view.act(page)
        seen.append(page.evaluate("window.seen_after"))
        _settle(page)
        cpu.append(1000 * (server.cpu() - used))
    view.leave(page)
    _settle(page)
    over = statistics.median(cpu) > view.cpu_ms or statistics.median(seen) > SEEN_S
    return {"server_cpu_ms": _spread(cpu), "seen_s": _spread(seen), "over": over}


def _spread(values: list[float]) -> dict[str, float]:
    return {"median": round(statistics.median(values), 2), "first": round(values[0], 2), "most": round(max(values), 2)}


def fill(home: Path) -> list[str]:
    """Fill a store with made-up runs, and return the ids of those that are compared."""
    images, sample = (open_images(Data(name=name), home=home) for name in ("cifar10", "sample"))
    store = Store(home)
    for view in (MAP, "strategies"):
        for number, wanted in enumerate(plan_of({"view": [view]})):
            _add(store, wanted, sample, 0.6 + 0.02 * (number % 10), 20)
    ids, whole = [], ["data.name=cifar10", "validation.on=test"]
    whole += [f"split.{side}={list(range(10))}" for side in ("source", "target")]
    whole += [f"phases.{phase}.epochs={EPOCHS}" for phase in (0, 1)]
    for number in range(8):
        rate = 0.001 * (1 + number // 2)
        wanted = Wanted(f"rate {rate}", apply(FIRST, [*whole, f"phases.1.learning_rate={rate}"]), number % 2)
        ids.append(_add(store, wanted, images, 0.6 + 0.03 * number, POINTS))
    store.close()
    return ids


def _add(store: Store, wanted: Wanted, images: Images, reached: float, points: int) -> str:
    """Write a run that is done, as its worker would, with so many points a phase."""
    experiment = wanted.experiment
    run = store.submit(experiment, wanted.seed, wanted.name)
    store.claim(run, run=run, lease=1e6)
    environment = {"hardware": hardware(), "provenance": images.provenance, "official": images.official}
    store.set_environment(run, run, environment | {"fingerprint": images.fingerprint, "versions": {}})
    folder, at = store.files.folder(run), 0.0
    for index, phase in enumerate(experiment.phases):
        store.begin_phase(run, run, index, phase.name)
        store.record_before(run, run, index, Before(2.3, 0.1, at))
        final = _predicted(experiment, index, images, reached, wanted.seed)
        followed = evenly(final.labels.astype(np.int32))
        for epoch in range(phase.epochs + 1):
            level = reached * (1 - 0.9**epoch)
            told = _predicted(experiment, index, images, level, epoch, followed)
            moments.append(folder / moments.FILE, Moment(index, epoch, told.images, told.labels, told.probabilities))
            if epoch:
                at += 2.0
                found = Epoch(epoch, 2 - level, level, 2.1 - level, level - 0.05, 1e-3, 2.0, 5e3, 10_000, at)
                store.add_epoch(run, run, index, found)
        levels = {phase.epochs * step / points: reached * (1 - 0.9 ** (step / 5)) for step in range(1, points + 1)}
        store.add_points(run, run, index, [Point(when, 2 - level, level, at) for when, level in levels.items()])
    final.save(folder / "test.npz")
    seconds = {"queue": 0.2, "start": 3.0, "data": 0.3, "first_step": 1.0, "steps": at, "evaluation": 2.0}
    store.finish(run, run, State.DONE, metrics={"test": measure(final)}, seconds=seconds)
    return run


def _predicted(
    experiment: Experiment, phase: int, images: Images, right: float, seed: int, rows: Any = slice(None)
) -> Predictions:
    """Predictions on a phase's test images, or those in some rows, of which about the share `right` is right."""
    random, outputs = np.random.default_rng(seed), experiment.output_classes(phase)
    places = np.flatnonzero(np.isin(images.test_labels, [each for each in outputs if each is not None]))[rows]
    labels = np.array([outputs.index(int(label)) for label in images.test_labels[places]])
    # Each class has others that it is taken for most often.
    other = (labels + 1 + random.geometric(0.5, len(labels))) % len(outputs)
    guess = np.where(random.random(len(labels)) < right, labels, other)
    probabilities = 0.4 * random.dirichlet(np.full(len(outputs), 0.3), len(labels))
    probabilities[np.arange(len(labels)), guess] += 0.6 * random.random(len(labels))
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    return Predictions(probabilities.astype(np.float32), labels, places, output_names(experiment, phase))


if __name__ == "__main__":
    main()
