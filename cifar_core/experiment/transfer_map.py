"""The transfer map's experiments: how general is what each depth of a network learns?

Yosinski, Clune, Bengio, Lipson 2014, *How transferable are features in deep neural networks?*: a network trained on
classes A (here: source) or B (target) lends its first n blocks to a new network for B, whose other layers start at
random. The blocks stay frozen (BnB, AnB) or are fine-tuned (BnB+, AnB+); baseB learns B from scratch.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from cifar_core.experiment.beginning import fingerprint
from cifar_core.experiment.experiment import Experiment, Freeze, Head, InitialWeights, Phase
from cifar_core.experiment.settings import changed

Curve = Literal["baseB", "baseA", "BnB", "BnB+", "AnB", "AnB+"]
CURVES: dict[Curve, str] = {
    "BnB": "copied from B, frozen",
    "BnB+": "copied from B, fine-tuned",
    "AnB": "copied from A, frozen",
    "AnB+": "copied from A, fine-tuned",
}
"""What was done to the first n blocks."""


@dataclass(frozen=True)
class Point:
    """A place on the map; the bases, where nothing is copied, have the depth 0."""

    curve: Curve
    depth: int = 0

    @property
    def title(self) -> str:
        """The point's name, as the paper writes it: "A2B+"."""
        return self.curve.replace("n", str(self.depth)) if self.depth else self.curve


@dataclass(frozen=True)
class TransferMap:
    """All points of one map. `target` is baseB, with the settings that every training of the map has."""

    target: Experiment

    @classmethod
    def of(cls, base: Experiment, epochs: int | None = None) -> "TransferMap":
        """Return the map of an experiment's data, split and backbone, with its first phase's settings."""
        first = base.phases[0]
        trained = {"name": "base", "train_on": "target", "freeze": Freeze(), "head": None}
        phase = (first if epochs is None else first.with_epochs(epochs)).model_copy(update=trained)
        return cls(changed(base, phases=(phase,), initial_weights=InitialWeights()))

    @cached_property
    def experiments(self) -> dict[Point, Experiment]:
        """Every point's experiment, the bases first, then the depths from the image on."""
        found = {Point("baseB"): self.target, Point("baseA"): self._with(self._on("source"))}
        for depth in range(1, len(self.blocks) + 1):
            for curve in CURVES:
                base = self._on("source" if curve.startswith("A") else "target")
                found[Point(curve, depth)] = self._with(base, self._transfer(depth, frozen=not curve.endswith("+")))
        return found

    @cached_property
    def blocks(self) -> tuple[str, ...]:
        """The blocks at which the map has depths: all but the output layer."""
        return tuple(block.name for block in self.target.networks[0].blocks[:-1])

    def point_of(self, experiment: Experiment) -> Point | None:
        """Return the point that an experiment is, whatever its phases are called, or None."""
        return self._places.get(fingerprint(experiment))

    @cached_property
    def _places(self) -> dict[str, Point]:
        return {fingerprint(experiment): point for point, experiment in self.experiments.items()}

    def _on(self, side: Literal["source", "target"]) -> Phase:
        return self.target.phases[0].model_copy(update={"train_on": side})

    def _with(self, *phases: Phase) -> Experiment:
        return changed(self.target, phases=phases)

    def _transfer(self, depth: int, *, frozen: bool) -> Phase:
        """A new network on target classes, whose first blocks are those of the network before."""
        freeze = Freeze(rule="first_blocks", count=depth) if frozen else Freeze()
        return self._on("target").model_copy(
            update={"name": "transfer", "head": self._head(self.blocks[depth:]), "freeze": freeze}
        )

    def _head(self, anew: tuple[str, ...]) -> Head:
        """A new output layer, before which these blocks start at random.

        Layers in a row are listed once more, as heads of maps were before one could name a block: those stay known.
        """
        row = self.target.backbone_row
        if not anew:
            return Head()
        if row.application is not None:
            return Head(anew_from=anew[0])
        layers = tuple(layer for block in row.blocks if block.name in anew for layer in block.layers)
        return Head(from_layer=layers[0].name, layers=layers)
