"""Everything for a lecture beforehand: images, weights, stored features and recorded runs, and a try without a network.

What is to be prepared is what a link means: a plan's, a lecture's, or the one experiment of the form's.
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cifar_core.analysis.linked import is_plan, plan_of, subject_of
from cifar_core.analysis.plan import Plan, Wanted
from cifar_core.data.catalogue import find_images, open_images
from cifar_core.data.download import download_cifar10
from cifar_core.experiment import links
from cifar_core.experiment.experiment import Experiment
from cifar_core.experiment.links import Query
from cifar_core.experiment.measured import Run, State
from cifar_core.experiment.settings import smoke
from cifar_core.experiment.wording import run_name
from cifar_core.runs.store import Store
from cifar_core.runs.supervisor import Policy

WITHOUT_NETWORK = Policy(command=(sys.executable, "-m", "cifar_core.offline"))
HERE = "http://localhost:8501"
_OF_ONE_VISIT = ("role", "key", "lecture", "seed", "view")

Follow = Callable[[Store, str, Policy], Run]
"""Runs a queued run to its end and returns it; says meanwhile how far it is."""
Step = Callable[[str, int, int], None]
"""Hears what is done, how much of it (bytes or images), and how much there is, 0 where that is not known."""


@dataclass(frozen=True)
class Preparation:
    """What is to be prepared: runs with seeds, or runs that are there already (`given`), and the lecture about them.

    `query` are the parameters of the lecture; without any, it shows what was recorded.
    """

    wanted: tuple[Wanted, ...]
    given: tuple[str, ...]
    server: str
    query: Query

    @classmethod
    def of_link(cls, link: str) -> "Preparation":
        """Return what a link means.

        Raises:
            ExperimentError: naming what in the link is wrong.
        """
        server, page, query = links.taken_apart(link)
        if runs := links.first(query, "runs"):
            return cls((), tuple(runs.split(",")), server, _lecture(query))
        if is_plan(page, query):
            return cls(tuple(plan_of(query)), (), server, _lecture(query))
        _, experiment, seed = links.read_link(
            links.first(query, "start"), query.get("set", []), links.first(query, "seed")
        )
        return replace(cls.of_experiment(experiment, seed), server=server)

    @classmethod
    def of_experiment(cls, experiment: Experiment, seed: int = 0) -> "Preparation":
        """Return one experiment with one seed."""
        return cls((Wanted(experiment.phases[-1].name, experiment, seed),), (), "", {})

    @property
    def experiments(self) -> list[Experiment]:
        """Every experiment once."""
        return list(dict.fromkeys(wanted.experiment for wanted in self.wanted))

    def lecture(self, recorded: Sequence[Run]) -> dict[str, str]:
        """Return the addresses of a lecture about the recorded runs: "presenter" and "audience"."""
        subject = self.query or {"runs": [",".join(run.id for run in recorded)]}
        presenter, audience = links.lecture_links(subject)
        server = self.server or HERE
        return {
            "presenter": links.address(server, "Lecture", presenter),
            "audience": links.address(server, "Lecture", audience),
        }


def _lecture(query: Query) -> Query:
    """The parameters of a lecture in those of a link, without what belongs to one visit of a page."""
    return {name: values for name, values in query.items() if name not in _OF_ONE_VISIT} | subject_of(query)


def bring_images(experiments: Sequence[Experiment], home: Path, step: Step) -> None:
    """Have the images of all experiments on this computer, and ready: download CIFAR-10, convert, draw.

    Raises:
        DataError: where they cannot be had, such as a download without a network.
    """
    for data in dict.fromkeys(experiment.data.model_copy(update={"per_class": None}) for experiment in experiments):
        if data.name == "cifar10" and data.location is None and find_images(data, home=home) is None:
            download_cifar10(home, progress=lambda done, total: step("Downloading CIFAR-10", done, total or 0))
        open_images(data, home=home, progress=lambda done, total: step("Preparing the images", done, total))


def record(preparation: Preparation, store: Store, follow: Follow) -> list[Run]:
    """Run what is not done yet, and return all runs; it ends early with the first that does not reach its end.

    Raises:
        UnknownRun: where a run that the link names is not there.
    """
    recorded = [store.run(id) for id in preparation.given]
    for wanted in preparation.wanted:
        plan = Plan({wanted.title: wanted.experiment}, 1)
        found = plan.runs(store.runs())[wanted.title].get(wanted.seed)
        if found is None or found.state is not State.DONE:
            name = run_name(wanted.experiment, wanted.seed) if len(preparation.wanted) == 1 else wanted.name
            found = follow(store, found.id if found else store.submit(wanted.experiment, wanted.seed, name), Policy())
        recorded.append(found)
        if found.state is not State.DONE:
            break
    return recorded


def check(experiments: Sequence[Experiment], store: Store, follow: Follow) -> list[Run]:
    """Start every experiment at its smoke size without a network, and return how each ended. Nothing of it is kept.

    That needs the images and the weights that the whole experiment needs. It ends with the first that fails.
    """
    tried = []
    for experiment in experiments:
        small = smoke(experiment)
        run = store.submit(small, 0, f"without a network · {run_name(small, 0)}")
        try:
            tried.append(follow(store, run, WITHOUT_NETWORK))
        finally:
            if store.run(run).state.is_finished:
                store.delete(run)
        if tried[-1].state is not State.DONE:
            break
    return tried
