"""Links: every page, as AppTest draws it."""

import json
import random
import re
from functools import cache
from pathlib import Path
from typing import Any

from benchmarks.bad_inputs.experiments import assignment
from benchmarks.bad_inputs.inputs import Input, LastResortError
from benchmarks.bad_inputs.nasty import NASTY, field_pattern
from cifar_core.experiment.experiment import Data
from cifar_core.experiment.recipes import RECIPES

ROOT = Path(__file__).parents[2]
PAGES = {
    "pages/1_Experiment.py": ("start", "set", "seed"),
    "pages/2_Live.py": ("run",),
    "pages/3_Results.py": ("run",),
    "pages/4_Compare.py": ("runs", "baseline"),
    "pages/7_Plan.py": ("start", "set", "view", "strategies", "seeds", "last", "block", "baseline", "epochs"),
    "pages/8_Try.py": ("runs",),
}


def link(draws: random.Random, place: Path) -> Input:
    page = draws.choice(list(PAGES))
    nasty = [each for each in NASTY if each and "\ud800" not in each]  # an address decodes to no lone surrogate
    query: dict[str, str | list[str]] = {draws.choice(PAGES[page]): draws.choice(nasty)}
    if "set" in PAGES[page] and draws.random() < 0.6:
        changes = [assignment(draws).replace("\ud800", "?") for _ in range(draws.choice((1, 2)))]
        if draws.random() < 0.3:  # paths that lead nowhere good
            path = draws.choice(nasty)
            own = {"name": "folder", "location": path, "classes": ["a", "b"], "image_side": 32}
            places = {"initial_weights": {"source": "file", "path": path}, "data": own}
            field = draws.choice(list(places))
            changes = [f"{field}={json.dumps(places[field])}", 'split={"source":[0,1],"target":[0,1]}']
        query |= {"start": draws.choice(list(RECIPES)), "set": changes}
    names = (
        *query,
        "There (is|are) no (recipe|run|file|CIFAR-10 in|such)",
        "runs that this page cannot",
        "field=value",
        "exist",
    )
    return Input(lambda: _opened(page, query), "|".join((field_pattern(), *names)), f"{page} {query!r}"[:300])


def _opened(page: str, query: dict[str, str | list[str]]) -> str | None:
    """What a page says is wrong with its address."""
    test = _visitor()
    test.switch_page(page)
    test.query_params.clear()
    test.query_params.update(query)
    test.run()
    if test.exception:
        raise LastResortError("\n".join(f"{each.message}\n{each.stack_trace}" for each in test.exception))
    said = "\n".join(each.value for each in (*test.error, *test.warning))
    said = said.replace("This link does not open an experiment. ", "").replace("This link does not open a plan. ", "")
    said = re.sub(r"\\(\W|_)", r"\1", said)  # undo the escapes of text that is shown as it was typed
    if "went wrong" in said:
        raise LastResortError(said)
    return said or None


@cache
def _visitor() -> Any:
    """The app with two finished runs."""
    from streamlit.testing.v1 import AppTest

    from cifar_core.data.catalogue import open_images
    from cifar_core.experiment.links import FIRST
    from cifar_core.experiment.measured import State
    from cifar_core.home import home
    from cifar_core.runs.store import Store

    open_images(Data(name="sample"), home=home())
    store = Store(home())
    for seed in range(2):
        run = store.submit(FIRST, seed, f"a run, seed {seed}")
        store.claim(run, run=run, lease=1e6)
        store.files.folder(run).joinpath("model.keras").touch()
        store.finish(run, run, State.STOPPED, reason="Stopped on request.")
    store.close()
    return AppTest.from_file(str(ROOT / "app.py"), default_timeout=60).run()
