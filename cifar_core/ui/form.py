"""The experiment form's state: an experiment as the values of widgets, and back, and as a link.

Nothing here draws. Widget keys are `form.<field>`, those of a phase `form.<index>.<field>`; a page may show any of
them, since `draft` reads them all from the session's state.
"""

from collections.abc import Mapping, MutableMapping, Sequence
from itertools import pairwise
from typing import Any

from cifar_core.experiment.experiment import Data, Experiment, Freeze, Head, Phase
from cifar_core.experiment.layers import Dense, Dropout, Layer
from cifar_core.experiment.recipes import RECIPES, recipe
from cifar_core.experiment.record import ExperimentError
from cifar_core.experiment.settings import apply, differences

SCRATCH = "scratch"
STARTS = (SCRATCH, *RECIPES)
FIRST = Experiment(
    data=Data(name="sample"),
    phases=(
        Phase(name="pretrain", train_on="source", epochs=3),
        Phase(
            name="fine-tune",
            train_on="target",
            freeze=Freeze(rule="first_blocks", count=2),
            head=Head(),
            epochs=3,
        ),
    ),
)
"""What the form shows to somebody who has chosen nothing yet: under a minute to a first verdict."""

RULES = {
    "blocks": "Blocks, from the image on",
    "layers": "Layers, from the image on",
    "last": "All but the last layers",
    "only": "All but one block (surgical)",
}
MOST_DROPOUT = 0.99
HEADS = {
    "keep": "Keep the head as it is",
    "output": "New output layer",
    "layers": "New layers and output",
}


def start_from(identifier: str) -> Experiment:
    """Return the experiment that a start names: a recipe's, or the form's first."""
    return FIRST if identifier == SCRATCH else recipe(identifier).experiment


def fields(experiment: Experiment) -> dict[str, Any]:
    """Return the widget values that show an experiment."""
    data, validation = experiment.data, experiment.validation
    values: dict[str, Any] = {
        "form.data": data.name,
        "form.location": data.location or "",
        "form.per_class": data.per_class,
        "form.source": list(experiment.split.source),
        "form.target": list(experiment.split.target),
        "form.backbone": experiment.backbone,
        "form.validation": validation.on,
        "form.share": validation.share,
        "form.phases": len(experiment.phases),
    }
    for index, phase in enumerate(experiment.phases):
        values |= {f"form.{index}.{name}": value for name, value in _phase_fields(phase).items()}
    return values


def _phase_fields(phase: Phase) -> dict[str, Any]:
    freeze, head = phase.freeze, phase.head
    simple = head is None or _has_fields(head.layers)
    layers = head.layers if head is not None and simple else ()
    return {
        "name": phase.name,
        "train_on": phase.train_on,
        "rule": {"first_layers": "layers", "all_but_last_layers": "last", "all_but_block": "only"}.get(
            freeze.rule, "blocks"
        ),
        "blocks": freeze.count if freeze.rule == "first_blocks" else 0,
        "layers": freeze.count if freeze.rule == "first_layers" else 1,
        "last": freeze.count if freeze.rule == "all_but_last_layers" else 1,
        "only": freeze.block or "output",
        "head": "keep" if head is None else "output" if head == Head(outputs=head.outputs) else "layers",
        "from_layer": head.from_layer if head is not None else "output",
        "outputs": head.outputs if head is not None else "classes",
        "units": next((layer.units for layer in layers if isinstance(layer, Dense)), 0),
        "dropout": next((layer.rate for layer in layers if isinstance(layer, Dropout)), 0.0),
        "as_loaded": None if simple or head is None else head.model_dump(mode="json")["layers"],
        "layer_name": next((layer.name for layer in layers), ""),
        "epochs": phase.epochs,
        "batch_size": phase.batch_size,
        "optimizer": phase.optimizer,
        "learning_rate": phase.learning_rate,
    }


def _has_fields(layers: Sequence[Layer]) -> bool:
    """Whether the form has fields for new layers: none, or a dense one as the form makes it, perhaps with dropout."""
    match layers:
        case []:
            return True
        case [Dense(activation="relu")]:
            return True
        case [Dense(activation="relu"), Dropout(name="", rate=rate)]:
            return 0 < rate <= MOST_DROPOUT
    return False


def draft(values: Mapping[Any, Any]) -> dict[str, Any]:
    """Return what the widgets say, as plain data for `Experiment.parse`."""
    return {
        "data": {
            "name": values["form.data"],
            "location": values["form.location"] or None,
            "per_class": values["form.per_class"],
        },
        "split": {"source": values["form.source"], "target": values["form.target"]},
        "backbone": values["form.backbone"],
        "validation": {"on": values["form.validation"], "share": values["form.share"]},
        "phases": [
            _phase({name: values[f"form.{index}.{name}"] for name in _PHASE_FIELDS})
            for index in range(values["form.phases"])
        ],
    }


_PHASE_FIELDS = tuple(_phase_fields(Phase(name="any", train_on="source")))


def _phase(values: Mapping[Any, Any]) -> dict[str, Any]:
    freeze: dict[str, Any] = {
        "blocks": {"rule": "first_blocks", "count": values["blocks"]} if values["blocks"] else {},
        "layers": {"rule": "first_layers", "count": values["layers"]},
        "last": {"rule": "all_but_last_layers", "count": values["last"]},
        "only": {"rule": "all_but_block", "block": values["only"]},
    }[values["rule"]]
    layers: list[dict[str, Any]] = []
    if values["head"] == "layers":
        layers = values["as_loaded"] or [
            *([{"kind": "dense", "name": values["layer_name"], "units": values["units"]}] if values["units"] else []),
            *([{"kind": "dropout", "rate": values["dropout"]}] if values["units"] and values["dropout"] else []),
        ]
    head: dict[str, Any] | None = {
        "from_layer": values["from_layer"] if values["head"] == "layers" else "output",
        "layers": layers,
        "outputs": values["outputs"],
    }
    return {
        "name": values["name"],
        "train_on": values["train_on"],
        "freeze": freeze,
        "head": None if values["head"] == "keep" else head,
        **{name: values[name] for name in ("epochs", "batch_size", "optimizer", "learning_rate")},
    }


def without_freezing(plain: dict[str, Any]) -> dict[str, Any]:
    """Return a draft with nothing frozen: its networks say how far a freeze depth can go."""
    return plain | {"phases": [phase | {"freeze": {}} for phase in plain["phases"]]}


def clamp(values: MutableMapping[Any, Any], shape: Experiment) -> None:
    """Bring freeze depths and head positions that the networks of `shape` do not have back into reach."""
    for index, network in enumerate(shape.networks):
        limits = {
            "blocks": len(network.blocks) - 1,
            "layers": len(network.layers) - 1,
            "last": len(network.layers),
        }
        for name, limit in limits.items():
            values[f"form.{index}.{name}"] = min(values[f"form.{index}.{name}"], limit)
        if values[f"form.{index}.only"] not in {block.name for block in network.blocks}:
            values[f"form.{index}.only"] = "output"


def head_starts(shape: Experiment, index: int) -> list[str]:
    """Return the layers from which a phase may put new dense layers, those fed with a row of values; and its own."""
    before, head = shape.networks[max(0, index - 1)].layers, shape.phases[index].head
    starts = [layer.name for previous, layer in pairwise(before) if len(previous.output_shape) == 1 and layer.params]
    return starts if head is None or head.from_layer in starts else [head.from_layer, *starts]


def link(start: str, experiment: Experiment, seed: int) -> dict[str, str | list[str]]:
    """Return the query parameters of a link that reopens the form like this."""
    parameters: dict[str, str | list[str]] = {"start": start}
    if changed := differences(start_from(start), experiment):
        parameters["set"] = changed
    if seed:
        parameters["seed"] = str(seed)
    return parameters


def read_link(start: str, assignments: Sequence[str], seed: str) -> tuple[str, Experiment, int]:
    """Return the start, the experiment and the seed that a link means.

    Raises:
        ExperimentError: naming what in the link is wrong.
    """
    chosen = start or SCRATCH
    experiment = apply(start_from(chosen), assignments)
    if not (seed or "0").isdecimal() or int(seed or "0") >= 2**31:
        raise ExperimentError(f"seed: expected a whole number from 0 to {2**31 - 1}, received {seed}.")
    return chosen, experiment, int(seed or "0")
