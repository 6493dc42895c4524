"""Strategies: ways to fine-tune that share the class split, the backbone and all phases on the source classes.

Each is a list of phases made from a base experiment: its phases before the first on target classes, as they are, then
the strategy's own, with the settings (epochs, optimizer, augmentation …) of the base's last phase and its new head.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

from cifar_core.experiment.experiment import Experiment, Freeze, Head, InitialWeights, Phase
from cifar_core.experiment.settings import changed

_ALL = Freeze()
_MOST_PHASES = 12


@dataclass(frozen=True)
class Start:
    """What all strategies of a base experiment share.

    `before` are the phases on source classes. `tuning` is a phase on target classes: settings and head of all others.
    """

    base: Experiment
    before: tuple[Phase, ...]
    tuning: Phase

    @classmethod
    def of(cls, base: Experiment) -> "Start":
        """Return the start that a base experiment describes.

        One without a phase on target classes is given one, unless its weights were learned elsewhere: then that was
        the training on the source, and its last phase is the fine-tuning.
        """
        before = tuple(takewhile(lambda phase: phase.train_on == "source", base.phases))
        changes: dict[str, Any] = {"freeze": Freeze()}
        if len(before) < len(base.phases):
            changes["train_on"] = "target"
        elif base.initial_weights.source == "random":
            changes |= {"train_on": "target", "head": Head(), "name": "fine-tune"}
        else:
            before = ()
        if "head" not in changes:
            heads = [phase.head for phase in base.phases[len(before) :] if phase.head is not None]
            changes["head"] = heads[0] if heads else None
        return cls(base, before, base.phases[-1].model_copy(update=changes))

    def experiment(self, *phases: Phase) -> Experiment:
        """Return the experiment that goes on with these phases.

        Raises:
            ExperimentError: when they do not fit together.
        """
        return changed(self.base, phases=(*self.before, *phases))

    @property
    def head_layers(self) -> int:
        """Number of layers of the head, the output layer included."""
        return 1 + (len(self.tuning.head.layers) if self.tuning.head is not None else 0)

    @property
    def blocks(self) -> dict[str, int]:
        """The blocks that keep weights, by name, with their place among all blocks: where one can freeze up to."""
        network = self.experiment(self.tuning).networks[-1]
        kept = {layer.name for layer in network.layers[: -self.head_layers] if layer.params}
        return {block.name: place for place, block in enumerate(network.blocks) if kept.intersection(block.layers)}

    def named(self, part: str, **changes: Any) -> Phase:
        """Return one of several phases of a strategy."""
        epochs = changes.pop("epochs")
        return self.tuning.with_epochs(epochs).model_copy(update={"name": f"{self.tuning.name[:40]}: {part}"} | changes)

    def head_first(self, then: str, freeze: Freeze) -> tuple[Phase, Phase]:
        """Return half of the epochs for the head alone, and the others for what follows."""
        half = max(1, self.tuning.epochs // 2)
        return (
            self.named("head", freeze=self.behind_all, epochs=half),
            self.named(then, freeze=freeze, head=None, epochs=max(1, self.tuning.epochs - half)),
        )

    @property
    def behind_all(self) -> Freeze:
        """Everything but the head frozen."""
        return Freeze(rule="all_but_last_layers", count=self.head_layers)

    def from_block(self, name: str) -> Freeze:
        """Everything before a block frozen."""
        place = self.blocks[name]
        return Freeze(rule="first_blocks", count=place) if place else _ALL


@dataclass(frozen=True)
class Choices:
    """What can be chosen of strategies: `last` layers to train, and the one `block`; None is what suits the base."""

    last: int | None = None
    block: str | None = None


@dataclass(frozen=True)
class Strategy:
    """A way to fine-tune. `source` is the paper it comes from; `build` gives its experiment."""

    id: str
    title: str
    sentence: str
    source: str
    build: Callable[[Start, Choices], Experiment]

    def experiment(self, base: Experiment, choices: Choices | None = None) -> Experiment:
        """Return the experiment that follows the strategy from the base experiment's beginning.

        Raises:
            ExperimentError: when the base's network leaves no room for it.
        """
        return self.build(Start.of(base), choices or Choices())


def usual_last(base: Experiment) -> int:
    """Return the number of last layers that are the head and the last two blocks with weights."""
    start = Start.of(base)
    network = start.experiment(start.tuning).networks[-1]
    first = list(start.blocks)[-2:][0]
    return len(network.layers) - [layer.block for layer in network.layers].index(first)


def blocks_of(base: Experiment) -> list[str]:
    """Return the names of the blocks whose weights are carried over."""
    return list(Start.of(base).blocks)


def _head_only(start: Start, choices: Choices) -> Experiment:
    return start.experiment(start.tuning.model_copy(update={"freeze": start.behind_all}))


def _last_layers(start: Start, choices: Choices) -> Experiment:
    count = choices.last or usual_last(start.base)
    freeze = Freeze(rule="all_but_last_layers", count=count)
    return start.experiment(start.tuning.model_copy(update={"freeze": freeze}))


def _last_block(start: Start, choices: Choices) -> Experiment:
    return start.experiment(start.tuning.model_copy(update={"freeze": start.from_block(list(start.blocks)[-1])}))


def _everything(start: Start, choices: Choices) -> Experiment:
    return start.experiment(start.tuning)


def _gradually(start: Start, choices: Choices) -> Experiment:
    """One more block in every phase; several at once where there are fewer epochs, or room for fewer phases."""
    blocks, epochs = list(start.blocks), start.tuning.epochs
    steps = min(len(blocks), max(1, epochs - 1), _MOST_PHASES - 1 - len(start.before))
    phases = [start.named("head", freeze=start.behind_all, epochs=1)]
    for step in range(1, steps + 1):
        first = blocks[len(blocks) - round(step * len(blocks) / steps)]
        last = step == steps
        name, freeze = ("everything", _ALL) if last else (f"from {first}", start.from_block(first))
        phases.append(start.named(name, freeze=freeze, head=None, epochs=max(1, epochs - steps) if last else 1))
    return start.experiment(*phases)


def _head_then_everything(start: Start, choices: Choices) -> Experiment:
    return start.experiment(*start.head_first("everything", _ALL))


def _one_block(start: Start, choices: Choices) -> Experiment:
    block = choices.block or next(iter(start.blocks))
    return start.experiment(*start.head_first(f"only {block}", Freeze(rule="all_but_block", block=block)))


def _from_scratch(start: Start, choices: Choices) -> Experiment:
    return changed(start.base, phases=(start.tuning,), initial_weights=InitialWeights())


STRATEGIES: dict[str, Strategy] = {
    row.id: row
    for row in (
        Strategy(
            "head",
            "head only",
            "Everything learned stays as it is; only the head learns the new classes (a linear probe, if it is one "
            "output layer).",
            "Donahue et al. 2014, DeCAF",
            _head_only,
        ),
        Strategy(
            "last-layers",
            "last layers",
            "The last layers train; the general features before them stay.",
            "Yosinski et al. 2014, How transferable are features in deep neural networks?",
            _last_layers,
        ),
        Strategy(
            "last-block",
            "last block",
            "The head and the last block before it train.",
            "Yosinski et al. 2014, How transferable are features in deep neural networks?",
            _last_block,
        ),
        Strategy(
            "everything",
            "everything",
            "All layers train on, from what they have learned.",
            "Girshick et al. 2014, R-CNN",
            _everything,
        ),
        Strategy(
            "gradual",
            "gradual unfreezing",
            "The head alone for an epoch; then, epoch by epoch, one more block from the end; then everything.",
            "Howard & Ruder 2018, ULMFiT",
            _gradually,
        ),
        Strategy(
            "lp-ft",
            "LP-FT",
            "The head alone for half of the epochs, so that its random start does not distort the features; then "
            "everything.",
            "Kumar et al. 2022, Fine-Tuning can Distort Pretrained Features",
            _head_then_everything,
        ),
        Strategy(
            "one-block",
            "one block only",
            "The head alone for half of the epochs; then one block, the first unless another is chosen.",
            "Lee et al. 2022, Surgical Fine-Tuning",
            _one_block,
        ),
        Strategy(
            "scratch",
            "from scratch",
            "Nothing is transferred: random weights, the target classes alone, as many epochs as fine-tuning takes.",
            "He et al. 2019, Rethinking ImageNet Pre-training",
            _from_scratch,
        ),
    )
}
"""The strategy table."""
