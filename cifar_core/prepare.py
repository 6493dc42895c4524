"""Everything for a lecture beforehand: images, weights, stored features and recorded runs, and a try without a network.

What is to be prepared is what a link means: runs that it names, a plan's, or the one experiment of the form's. A link
that means no runs is refused.
"""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cifar_core.analysis.linked import plan_of, subject_of
from cifar_core.analysis.plan import Plan, Wanted
from cifar_core.analysis.plan_link import USUAL
from cifar_core.data.catalogue import find_images, images_now, open_images
from cifar_core.data.download import download_cifar10
from cifar_core.experiment import links
from cifar_core.experiment.experiment import Data, Experiment
from cifar_core.experiment.images_now import ImagesNow
from cifar_core.experiment.links import Query
from cifar_core.experiment.measured import Comparison, Run, State
from cifar_core.experiment.record import ExperimentError, nearest, shown
from cifar_core.experiment.settings import smoke
from cifar_core.experiment.wording import run_name
from cifar_core.runs.policy import Policy
from cifar_core.runs.store import LEASE_SECONDS, Store

WITHOUT_NETWORK = Policy(command=(sys.executable, "-m", "cifar_core.offline"))
HERE = "http://localhost:8501"
_OF_ONE_VISIT = ("role", "key", "lecture", "run", "runs", "comparison", "seed", "view")

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
    def of_link(cls, link: str, kept: Sequence[Comparison] = ()) -> "Preparation":
        """Return what a link means; `kept` are the comparisons that have a name here.

        Raises:
            ExperimentError: naming what in the link is wrong, or that it means no runs.
        """
        server, page, query = links.taken_apart(link)
        subject, look = subject_of(query), _look(query) if page == "Lecture" else {}
        if given := _given(query, kept):
            return cls((), given, server, look | {"runs": [",".join(given)]})
        if page == "Plan" or (page == "Lecture" and subject):
            usual = {"strategies": [",".join(USUAL)]}
            return cls(tuple(plan_of(query)), (), server, look | (subject or usual))
        if page != "Experiment":
            raise ExperimentError(_means_no_runs(page, query))
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


def _given(query: Query, kept: Sequence[Comparison]) -> tuple[str, ...]:
    """The runs that a link names, one by one or as a comparison."""
    if name := links.first(query, "comparison"):
        known = {each.id: each.runs for each in kept}
        if name not in known:
            gone = f"comparison: there is no comparison {shown(name)} here; it may have been deleted."
            raise ExperimentError(gone + nearest(name, known))
        return known[name]
    return tuple(filter(None, links.first(query, "runs", links.first(query, "run")).split(",")))


def _means_no_runs(page: str, query: Query) -> str:
    """What is wrong with a link from which nothing can be prepared, and which one is expected."""
    if "lecture" in query:
        return (
            "This is the link of a lecture's audience, which does not say what is shown. Expected the presenter's "
            "link of the lecture, or that of its plan or runs."
        )
    return (
        f"A link of the page {shown(page)} that names no runs means nothing to prepare. Expected a link of Experiment, "
        "Plan or Lecture with what it shows, or one with run, runs or comparison."
    )


def _look(query: Query) -> Query:
    """How a lecture looks, as its link says it: what it is about and what belongs to one visit is left out."""
    return {name: values for name, values in query.items() if name not in (*subject_of(query), *_OF_ONE_VISIT)}


def bring_images(experiments: Sequence[Experiment], home: Path, step: Step) -> None:
    """Have the images of all experiments on this computer, and ready: download CIFAR-10, convert, draw.

    Raises:
        DataError: where they cannot be had, such as a download without a network.
    """
    for data in dict.fromkeys(experiment.data.model_copy(update={"per_class": None}) for experiment in experiments):
        if data.name == "cifar10" and data.location is None and find_images(data, home=home) is None:
            download_cifar10(home, progress=lambda done, total: step("Downloading CIFAR-10", done, total or 0))
        open_images(data, home=home, progress=lambda done, total: step("Preparing the images", done, total))


def record(preparation: Preparation, store: Store, follow: Follow, person: str = "") -> list[Run]:
    """Run what is not done yet, as a person's, and return all runs; it ends early with the first that does not reach
    its end.

    Raises:
        UnknownRun: where a run that the link names is not there.
    """
    recorded = []
    for run in _runs(preparation, store, person):
        recorded.append(run if run.state.is_finished else follow(store, run.id, Policy()))
        if recorded[-1].state is not State.DONE:
            break
    return recorded


def to_run(preparation: Preparation, store: Store) -> list[Experiment]:
    """Return the experiment of every run that is not done yet.

    Raises:
        UnknownRun: where a run that the link names is not there.
    """
    given = [run.experiment for run in map(store.run, preparation.given) if not run.state.is_finished]
    now = _images_now(preparation, store)
    found = [(wanted.experiment, _found(wanted, store, now)) for wanted in preparation.wanted]
    return given + [experiment for experiment, run in found if run is None or not run.state.is_finished]


def _runs(preparation: Preparation, store: Store, person: str) -> Iterator[Run]:
    """The runs one after the other: each is there, or is queued when it is asked for."""
    yield from map(store.run, preparation.given)
    now = _images_now(preparation, store)
    for wanted in preparation.wanted:
        name = run_name(wanted.experiment, wanted.seed) if len(preparation.wanted) == 1 else wanted.name
        yield _found(wanted, store, now) or store.run(
            store.submit(wanted.experiment, wanted.seed, name, person=person, reserved=LEASE_SECONDS)
        )


def _images_now(preparation: Preparation, store: Store) -> dict[Data, ImagesNow | None]:
    """What is known of the images that runs are wanted on: a folder is looked through once."""
    every = dict.fromkeys(wanted.experiment.data for wanted in preparation.wanted)
    return {data: images_now(data, home=store.home) for data in every}


def _found(wanted: Wanted, store: Store, now: Mapping[Data, ImagesNow | None]) -> Run | None:
    """The run that is there already: done, under way or waiting."""
    plan = Plan({wanted.title: wanted.experiment}, 1)
    return plan.runs(store.runs(), now[wanted.experiment.data])[wanted.title].get(wanted.seed)


def check(experiments: Sequence[Experiment], store: Store, follow: Follow) -> list[Run]:
    """Start every experiment at its smoke size without a network, and return how each ended. Nothing of it is kept.

    That needs the images and the weights that the whole experiment needs. It ends with the first that fails.
    """
    tried = []
    for experiment in experiments:
        small = smoke(experiment)
        name = f"without a network · {run_name(small, 0)}"
        run = store.submit(small, 0, name, reserved=LEASE_SECONDS)
        try:
            tried.append(follow(store, run, WITHOUT_NETWORK))
        finally:
            if store.run(run).state.is_finished:
                store.delete(run)
        if tried[-1].state is not State.DONE:
            break
    return tried
