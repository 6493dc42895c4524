"""The three questions that every write-up of transfer learning asks, answered from runs' own numbers.

A case is one phase of one run. Nothing is said that was not measured; what the numbers only suggest is worded so.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from cifar_core.analysis.groups import Group, mean_and_spread, over_seeds, spread
from cifar_core.analysis.history import training_seconds
from cifar_core.analysis.labels import titles, without_seed
from cifar_core.analysis.predictions import Predictions
from cifar_core.analysis.verdict import better
from cifar_core.analysis.wording import count, duration, listing, number, percent, points, ratio, small_share
from cifar_core.experiment.beginning import fingerprint
from cifar_core.experiment.experiment import Phase
from cifar_core.experiment.measured import Epoch, Measured, PhaseHistory, Run
from cifar_core.experiment.network import Network

QUESTIONS = (
    "How many parameters are trainable in each case?",
    "Which way of fine-tuning classifies better, and why?",
    "Why is it faster than training from scratch?",
)

# Training accuracy is a running mean over an epoch, of a network with dropout on if it has any: smaller gaps to
# validation say nothing about overfitting.
_GAP = 0.03

PredictionsOf = Callable[[Sequence[Group]], Mapping[str, Predictions]]
"""Reads what the runs of groups predicted of the test images, by run id."""


@dataclass(frozen=True)
class Answer:
    """A question and its answer: sentences, the first of which answers."""

    question: str
    sentences: tuple[str, ...]

    @property
    def text(self) -> str:
        """The answer as one paragraph."""
        return " ".join(self.sentences)


@dataclass(frozen=True)
class Case:
    """One phase of one run, with what it measured. `index` counts from 0."""

    run: Run
    title: str
    index: int
    history: PhaseHistory | None

    @property
    def phase(self) -> Phase:
        """The phase itself."""
        return self.run.experiment.phases[self.index]

    @property
    def network(self) -> Network:
        """The phase's network."""
        return self.run.experiment.networks[self.index]

    @property
    def name(self) -> str:
        """What the case is called: its run and phase."""
        return f"“{self.title}”, {self.phase.name}"

    @property
    def from_scratch(self) -> bool:
        """Whether every layer trains and none has been trained before."""
        layers = [layer for layer in self.network.layers if layer.params]
        return all(layer.trainable and layer.since == self.index for layer in layers)

    @property
    def trained(self) -> tuple[str, ...]:
        """Names of the layers with parameters that train."""
        return tuple(layer.name for layer in self.network.layers if layer.params and layer.trainable)

    @property
    def frozen(self) -> tuple[str, ...]:
        """Names of the layers with parameters that stay as they are."""
        return tuple(layer.name for layer in self.network.layers if layer.params and not layer.trainable)

    @property
    def classes(self) -> frozenset[int]:
        """The classes it trains on."""
        return frozenset(self.run.experiment.classes_of(self.phase))

    @property
    def learned(self) -> tuple[object, ...]:
        """What it learned: equal for cases whose accuracies can be compared."""
        data = self.run.experiment.data
        return (data.name, data.per_class, self.run.environment.get("fingerprint"), self.classes)

    @property
    def result(self) -> Epoch | None:
        """The epoch that it kept, or the last."""
        return self.history.result if self.history else None

    @property
    def is_complete(self) -> bool:
        """Whether all its epochs were measured, or as many as early stopping found enough."""
        return self.history is not None and self.history.is_complete(self.phase.epochs)

    @property
    def is_last(self) -> bool:
        """Whether the run's test accuracy is this phase's."""
        return self.index == len(self.run.experiment.phases) - 1

    @property
    def seconds(self) -> float:
        """Seconds of its epochs, validation included, and of the stored features that it trained on."""
        return training_seconds(self.history) if self.history else 0.0

    @property
    def images(self) -> int:
        """Training images it saw."""
        return sum(done.images for done in self.history.epochs) if self.history else 0

    @property
    def epochs(self) -> int:
        """Epochs it finished."""
        return len(self.history.epochs) if self.history else 0


@dataclass(frozen=True)
class Way:
    """One way of fine-tuning: a phase of runs that differ in their seeds alone.

    `group` is all runs of it with a test accuracy, where these are of that phase; `cases` those that are shown.
    """

    title: str
    cases: tuple[Case, ...]
    group: Group | None

    @property
    def first(self) -> Case:
        """A case for what all share."""
        return self.cases[0]

    @property
    def name(self) -> str:
        """What it is called: its runs and, where its numbers are not those of their end, its phase."""
        return f"“{self.title}”" if self.group else f"“{self.title}”, {self.first.phase.name}"

    @property
    def seeds(self) -> set[int]:
        """The seeds that its accuracies are of."""
        return {run.seed for run in (self.group.runs if self.group else [case.run for case in self.cases])}

    @property
    def validation(self) -> dict[int, float]:
        """The validation accuracy of each seed, of the epoch that it kept."""
        return {case.run.seed: case.result.val_accuracy for case in self.cases if case.result}

    @property
    def training(self) -> dict[int, float]:
        """The training accuracy of each seed, in the epoch that it kept."""
        return {case.run.seed: case.result.accuracy for case in self.cases if case.result}


def cases(runs: Sequence[Measured]) -> list[Case]:
    """Return every phase of every run, in order."""
    names = titles([run for run, _ in runs])
    return [
        Case(run, names[run.id], index, next((found for found in histories if found.index == index), None))
        for run, histories in runs
        for index in range(len(run.experiment.phases))
    ]


def three_answers(
    runs: Sequence[Measured], groups: Mapping[str, Group], predictions: PredictionsOf
) -> tuple[Answer, Answer, Answer]:
    """Return the answers to QUESTIONS, from these runs' numbers alone.

    What classifies better is said of their `groups`, by run id: all seeds count, as in the verdict.
    """
    found = cases(runs)
    return (
        Answer(QUESTIONS[0], tuple(_parameters(found))),
        Answer(QUESTIONS[1], tuple(_better(found, groups, predictions))),
        Answer(QUESTIONS[2], tuple(_faster(found))),
    )


def _parameters(found: list[Case]) -> list[str]:
    """One sentence per distinct network: phases of several runs that train the same layers are one case."""
    alike: dict[tuple[object, ...], list[Case]] = {}
    for case in found:
        key = (case.phase.name, case.network.trainable, case.network.total, case.trained)
        alike.setdefault(key, []).append(case)
    sentences = []
    for members in alike.values():
        network, phase = members[0].network, members[0].phase.name
        share = small_share(network.trainable / network.total)
        stays = members[0].frozen
        rest = f"; {listing(list(stays))} {'stays' if len(stays) == 1 else 'stay'} frozen" if stays else ""
        where = "" if len(members) == 1 or len(alike) == 1 else f" (in {len(members)} runs)"
        sentences.append(
            f"{phase}{where}: {number(network.trainable)} of {number(network.total)} parameters train ({share}), "
            f"those of {listing(list(members[0].trained))}{rest}."
        )
    return sentences or ["No run is chosen."]


def _better(found: list[Case], groups: Mapping[str, Group], predictions: PredictionsOf) -> list[str]:
    ways = _ways(found, groups)
    by_test = sorted((-way.group.mean, place) for place, way in enumerate(ways) if way.group)
    by_validation = sorted((-_mean(way.validation), place) for place, way in enumerate(ways))
    pair = _best_two([ways[place] for _, place in by_test])
    pair = pair or _best_two([replace(ways[place], group=None) for _, place in by_validation])
    if pair is None:
        return ["These runs fine-tuned in one way only; choose runs that train different layers to compare them."]
    best, second = pair
    if best.group and second.group:
        outcome = better(best.group, second.group, predictions([best.group, second.group]))
        sentence, is_clear = outcome.sentence, len(outcome.winners) == 1
    else:
        sentence, is_clear = _by_validation(best, second)
    trained = [
        f"{way.name} trains {listing(list(way.first.trained))} ({number(way.first.network.trainable)} parameters)"
        for way in pair
    ]
    is_smaller = second.first.network.trainable < best.first.network.trainable
    fits = _fit(second, limited=is_clear and is_smaller) + _fit(best, limited=False)
    return [sentence, f"{', '.join(trained)}.", *fits, *_other_differences(best, second)]


def _ways(found: list[Case], groups: Mapping[str, Group]) -> list[Way]:
    """The ways of fine-tuning; only those that learned the same classes from the same data can be compared: most."""
    tuned = [case for case in found if case.index > 0 and not case.from_scratch and case.is_complete]
    kinds = [case.learned for case in tuned]
    alike: dict[tuple[str, int], list[Case]] = {}
    for case in tuned:
        if case.learned == max(kinds, key=kinds.count):
            alike.setdefault((fingerprint(case.run.experiment), case.index), []).append(case)
    ways = []
    for cases in alike.values():
        group = next((groups[case.run.id] for case in cases if case.run.id in groups), None)
        title = group.title if group else without_seed(cases[0].title)
        ways.append(Way(title, tuple(cases), group if cases[0].is_last else None))
    return ways


def _mean(values: Mapping[int, float]) -> float:
    return float(np.mean(list(values.values())))


def _best_two(ways: list[Way]) -> tuple[Way, Way] | None:
    """The first of ways, the best first, and the next that trains other layers."""
    return next(((ways[0], way) for way in ways if way.first.trained != ways[0].first.trained), None)


def _by_validation(best: Way, second: Way) -> tuple[str, bool]:
    """Set ways against each other that no test accuracies are of, and say whether it is more than luck."""
    found = over_seeds(second.name, best.validation, second.validation)
    one, other = (
        mean_and_spread(_mean(own), spread(list(own.values())), len(own)) if len(own) > 1 else percent(_mean(own))
        for own in (best.validation, second.validation)
    )
    difference = points(found.difference, found.spread)
    sentence = f"{best.name}: {one} of the validation images, {difference} against {found.baseline} ({other})"
    return f"{sentence}: {found.judgement}.", found.is_more_than_luck


def _fit(way: Way, *, limited: bool) -> list[str]:
    """What training beside validation accuracy supports about a way; `limited`: it trains less than a better one."""
    training, validation = _mean(way.training), _mean(way.validation)
    over = f" with seed {way.first.run.seed}" if len(way.seeds) > 1 else ""
    if len(way.validation) > 1:
        over = f", averaged over {len(way.validation)} seeds,"
    ended = (
        f"{way.name} ended{over} at {percent(training)} in training (running mean over the epoch) and "
        f"{percent(validation)} in validation"
    )
    if training - validation > _GAP:
        return [f"{ended}: a gap that points to overfitting."]
    if limited:
        return [
            f"{ended}: it fits the training images no better than new ones, so overfitting is not what limits it; the "
            "numbers fit the explanation that what it keeps frozen does."
        ]
    return [f"{ended}: no sign of overfitting."]


def _other_differences(one: Way, other: Way) -> list[str]:
    """Whatever else differs could be the cause as well."""
    found, (best, second) = [], (one.first, other.first)
    for field in ("epochs", "batch_size", "optimizer", "learning_rate", "head"):
        if getattr(best.phase, field) != getattr(second.phase, field):
            found.append(field.replace("_", " "))
    if _earlier_epochs(best) != _earlier_epochs(second):
        found.append(f"epochs on these classes before ({_earlier_epochs(best)} against {_earlier_epochs(second)})")
    if best.run.experiment.backbone != second.run.experiment.backbone:
        found.append("backbone")
    if best.run.experiment.validation != second.run.experiment.validation:
        found.append("validation images")
    if not one.seeds & other.seeds:
        found.append("seed")
    return [f"They also differ in {listing(found)}, which may account for part of it."] if found else []


def _earlier_epochs(case: Case) -> int:
    phases = case.run.experiment.phases[: case.index]
    return sum(phase.epochs for phase in phases if frozenset(case.run.experiment.classes_of(phase)) == case.classes)


def _faster(found: list[Case]) -> list[str]:
    scratch = [case for case in found if case.from_scratch and case.is_complete and case.seconds]
    if not scratch:
        return ["No run here was trained from scratch to the end, so there is nothing to compare the seconds with."]
    alike: dict[tuple[object, ...], list[tuple[Case, Case]]] = {}
    left_out = 0
    for case in found:
        if case.from_scratch or not case.is_complete or not case.seconds or not case.images:
            continue
        hardware = case.run.environment.get("hardware")
        bases = [base for base in scratch if base.run.environment.get("hardware") == hardware]
        own = [base for base in bases if base.run.id == case.run.id]
        if bases:
            key = (case.phase.name, case.trained, case.network.total)
            alike.setdefault(key, []).append((case, (own or bases)[0]))
        else:
            left_out += 1
    sentences = [_speeds(pairs) for pairs in alike.values()]
    if left_out:
        sentences.append(f"{count(left_out, 'phase')} ran on other hardware and cannot be compared in seconds.")
    if not sentences:
        return ["No fine-tuning has been measured to its end yet."]
    if any(case.run.seconds.get("extract") for case in found):
        given = list(dict.fromkeys(case.name for case in found if case.history and case.history.features_of_others))
        but = f", but not where another run had stored them: {listing(given)}" if given else ""
        sentences.append(
            f"Computing stored features is part of these seconds{but}; the timing ledger shows it on its own."
        )
    return sentences


def _speeds(pairs: list[tuple[Case, Case]]) -> str:
    """Decompose the first ratio of several runs' equal phases, and give the others' as a range."""
    text = _speed(*pairs[0])
    ratios = sorted(base.seconds / case.seconds for case, base in pairs[1:])
    if ratios:
        low, high = ratio(ratios[0]), ratio(ratios[-1])
        range_ = low if low == high else f"{low.removesuffix('×')} to {high}"
        text += f" In {count(len(ratios), 'other run')} the same phase was {range_} as fast as from scratch."
    return text


def _speed(case: Case, base: Case) -> str:
    """Decompose a ratio of seconds into epochs, images an epoch and images a second, which multiply to it."""
    faster = base.seconds / case.seconds
    verb = f"{ratio(faster)} as fast as" if not 0.95 <= faster <= 1.05 else "about as fast as"
    rates = (case.images / case.seconds, base.images / base.seconds)
    text = (
        f"{case.name}: {duration(case.seconds)}, {verb} from scratch ({base.name}: {duration(base.seconds)}). "
        f"{count(case.epochs, 'epoch')} against {base.epochs}, {number(case.images / case.epochs)} images an "
        f"epoch against {number(base.images / base.epochs)}, {number(rates[0])} images a second against "
        f"{number(rates[1])} (validation included); {duration(case.seconds / case.epochs)} an epoch against "
        f"{duration(base.seconds / base.epochs)}."
    )
    if not case.frozen or rates[0] <= rates[1]:
        return text
    share = case.network.trainable / case.network.total
    trains = f"{number(case.network.trainable)} parameters instead of {number(base.network.trainable)}"
    text += (
        f" It trains {trains}."
        if share < 0.5
        else f" It still trains {percent(share)} of the parameters, so their number alone does not explain it."
    )
    if case.history and case.history.on_stored_features:
        took = f"{duration(case.history.features_seconds)} of these seconds"
        if case.history.features_of_others:
            took = f"which another run had stored: having them took {took}"
        return (
            f"{text} What is frozen before the first layer that trains was computed once for each image (stored "
            f"features, {took}) instead of in every epoch, which "
            "fits the higher rate; the Compare page measures what that saved, and what needing no gradients saved."
        )
    layers = [layer.name for layer in case.network.layers if layer.params]
    is_prefix = tuple(layers[: len(case.frozen)]) == case.frozen
    saves = "needs no gradients at all" if is_prefix else "needs fewer gradients and no updates"
    kept = listing(list(case.frozen))
    return f"{text} What is frozen ({kept}) {saves}, which fits the higher rate; it was not timed apart."
