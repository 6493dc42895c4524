"""The experiment form's state: an experiment as the values of widgets, and back, and as a link.

Nothing here draws. Widget keys are `form.<field>`, those of a phase `form.<index>.<field>`; a page may show any of
them, since `draft` reads them all from the session's state.
"""

from collections.abc import Mapping, MutableMapping, Sequence
from typing import Any

from cifar_core.data.catalogue import IMAGE_SIDE
from cifar_core.experiment.augmentation import Augmentation, Colour, Crop, Cutout, Flip, Mixup
from cifar_core.experiment.backbones import BACKBONES, Backbone
from cifar_core.experiment.datasets import DATASETS
from cifar_core.experiment.experiment import Data, EarlyStopping, Experiment, Freeze, Head, Phase
from cifar_core.experiment.layers import MOST_UNITS, Dense, Dropout, Layer, Shape
from cifar_core.experiment.links import SCRATCH
from cifar_core.experiment.network import Network
from cifar_core.experiment.recipes import RECIPES
from cifar_core.experiment.record import ExperimentError, Record, shown
from cifar_core.experiment.schedules import Constant, Cosine, Exponential, Milestone, Plateau, Schedule, Steps
from cifar_core.experiment.settings import changed

STARTS = (SCRATCH, *RECIPES)
RULES = {
    "blocks": "Blocks, from the image on",
    "layers": "Layers, from the image on",
    "last": "All but the last layers",
    "only": "All but one block (surgical)",
}
WEIGHTS = {
    "random": "Random",
    "imagenet": "Learned on ImageNet",
    "file": "From a file",
    "run": "From another run",
}
OPTIMIZERS = {"rmsprop": "RMSprop", "adam": "Adam", "adamw": "AdamW", "sgd": "SGD"}
OWN_OPTION = {"rmsprop": "momentum", "sgd": "momentum", "adamw": "weight_decay"}
"""The option that only some optimizers have."""
SCHEDULES = {
    "constant": "Constant",
    "steps": "Step decay",
    "exponential": "Exponential decay",
    "cosine": "Cosine decay",
    "plateau": "Reduce on plateau",
}
WATCHED = {"never": "Never", "val_loss": "By validation loss", "val_accuracy": "By validation accuracy"}
CLASS_WEIGHTS = {"equal": "Equal", "balanced": "Balanced"}
AUGMENTATION = {
    "flip": "Horizontal flip",
    "crop": "Random crop",
    "cutout": "Cutout",
    "colour": "Colour jitter",
    "mixup": "Mixup",
}
DRAWN = {"stratified": "From each class alike", "random": "From all images alike", "last": "The last ones"}
FEATURES = {"full": "Kept in full", "half": "Kept in half the size", "off": "Not kept"}
MOST_DROPOUT = 0.99
HEADS = {
    "keep": "Keep the head as it is",
    "output": "New output layer",
    "layers": "New layers and output",
}
TO_ROW = {"global_average_pool": "Average of each channel", "flatten": "Flatten: every value"}
"""What makes the row of values, that a head works on, of an image."""
_IN_FIELDS = (*TO_ROW, "dense", "dropout")


def fields(experiment: Experiment) -> dict[str, Any]:
    """Return the widget values that show an experiment."""
    data, validation = experiment.data, experiment.validation
    values: dict[str, Any] = {
        "form.data": data.name,
        "form.location": data.location or "",
        "form.classes": data.classes,
        "form.image_side": data.image_side or IMAGE_SIDE,
        "form.per_class": data.per_class,
        "form.source": list(experiment.split.source),
        "form.target": list(experiment.split.target),
        "form.backbone": experiment.backbone,
        "form.weights": experiment.initial_weights.source,
        "form.weights_path": experiment.initial_weights.path or "",
        "form.weights_run": experiment.initial_weights.run,
        "form.input_side": experiment.input_side,
        "form.pixels": experiment.pixels or "",
        "form.validation": validation.on,
        "form.share": validation.share,
        "form.drawn": validation.drawn,
        "form.features": experiment.features,
        "form.phases": len(experiment.phases),
    }
    for index, phase in enumerate(experiment.phases):
        values |= {f"form.{index}.{name}": value for name, value in _phase_fields(phase).items()}
    return values


def _phase_fields(phase: Phase) -> dict[str, Any]:
    freeze, head = phase.freeze, phase.head
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
        "head": "keep" if head is None else "layers" if head.layers or head.from_layer != "output" else "output",
        "anew_from": head.anew_from if head is not None else "",
        "from_layer": head.from_layer if head is not None else "output",
        "outputs": head.outputs if head is not None else "classes",
        **_layer_fields(head.layers if head is not None else ()),
        **{name: getattr(phase, name) for name in _AS_THEY_ARE},
        "momentum": phase.momentum,
        "weight_decay": phase.weight_decay if phase.optimizer == "adamw" else USUAL_WEIGHT_DECAY,
        **{f"stop.{name}": value for name, value in dict(phase.early_stopping or EarlyStopping()).items()},
        "stop.watch": "never" if phase.early_stopping is None else phase.early_stopping.watch,
        "schedule": phase.schedule.kind,
        "augmentation": [change.kind for change in phase.augmentation],
        "augmented_copies": phase.augmented_copies,
        **_option_fields([phase.schedule, *phase.augmentation]),
    }


_AS_THEY_ARE = (
    "epochs",
    "batch_size",
    "optimizer",
    "learning_rate",
    "block_rate_factor",
    "clip_norm",
    "label_smoothing",
    "class_weights",
)
USUAL_WEIGHT_DECAY = 0.004  # Keras's, to begin with: without any, AdamW would be Adam
_KINDS: tuple[type[Record], ...] = (Constant, Steps, Exponential, Cosine, Plateau, Flip, Crop, Cutout, Colour, Mixup)
_OPTIONS = {
    kind.model_fields["kind"].default: {name: field.default for name, field in kind.model_fields.items()}
    for kind in _KINDS
}
"""The fields of every schedule and of every change to images, with what they are to begin with."""


def _option_fields(chosen: Sequence[Schedule | Augmentation]) -> dict[str, Any]:
    """The options of all schedules and changes, `<kind>.<option>`: of those not chosen, as they would begin."""
    known = _OPTIONS | {each.kind: dict(each) for each in chosen}
    options = {f"{kind}.{name}": value for kind, own in known.items() for name, value in own.items() if name != "kind"}
    milestones = known["steps"]["milestones"]
    return options | {"steps.milestones": _as_text(milestones) if "steps" in [each.kind for each in chosen] else ""}


def _as_text(milestones: Sequence[Milestone]) -> str:
    return ", ".join(f"{milestone.after_epochs}: {milestone.factor}" for milestone in milestones)


def usual_milestones(epochs: int) -> str:
    """Return the steps of a learning rate of which nothing is said: a tenth from halfway on."""
    return f"{max(1, epochs // 2)}: 0.1"


def _milestones(text: str, epochs: int) -> list[dict[str, float]]:
    """Return the milestones that a person typed: "10: 0.1, 20: 0.01"."""
    try:
        pairs = [pair.split(":") for pair in (text.strip() or usual_milestones(epochs)).split(",")]
        return [{"after_epochs": int(after), "factor": float(factor)} for after, factor in pairs]
    except ValueError:
        raise ExperimentError(
            'Steps of the learning rate: expected epochs and factors such as "10: 0.1, 20: 0.01", '
            f"received {shown(text)}."
        ) from None


def _layer_fields(layers: Sequence[Layer]) -> dict[str, Any]:
    """The fields of a phase's new layers. What they cannot say, by what they would make again, stays as loaded."""
    dense = [layer for layer in layers if isinstance(layer, Dense)]
    values: dict[str, Any] = {
        "to_row": next((layer.kind for layer in layers if layer.kind in TO_ROW), ""),
        "units": ", ".join(str(layer.units) for layer in dense),
        "l2": dense[0].l2 if dense else 0.0,
        "dropout": next((layer.rate for layer in layers if isinstance(layer, Dropout)), 0.0),
        "layer_names": {kind: [each.name for each in layers if each.kind == kind] for kind in _IN_FIELDS},
    }
    if values["dropout"] <= MOST_DROPOUT and Head.parse({"layers": _new_layers(values)}).layers == tuple(layers):
        return values | {"as_loaded": None}
    return _layer_fields(()) | {"as_loaded": [layer.model_dump(mode="json") for layer in layers]}


def _new_layers(values: Mapping[Any, Any]) -> list[dict[str, Any]]:
    """Return the new layers that a phase's fields say, without the output: dropout stands behind each dense layer.

    Layers that were loaded with names have these, in their order.
    """
    dropout = [{"kind": "dropout", "rate": values["dropout"]}] if values["dropout"] else []
    dense = [{"kind": "dense", "units": units, "l2": values["l2"]} for units in _units(values["units"])]
    layers: list[dict[str, Any]] = [{"kind": values["to_row"]}] if values["to_row"] else []
    layers += [layer for each in dense for layer in (each, *dropout)] or dropout
    names = {kind: iter(names) for kind, names in values["layer_names"].items()}
    return [layer | {"name": next(names.get(layer["kind"], iter(())), "")} for layer in layers]


def _units(text: str) -> list[int]:
    """Return the units of each dense layer that a person typed: "256, 128"."""
    try:
        units = [int(number) for number in text.split(",")] if text.strip() else []
    except ValueError:
        units = [0]
    if not all(0 < each <= MOST_UNITS for each in units):
        raise ExperimentError(
            f'Dense units: expected a whole number from 1 to {MOST_UNITS:,} for each dense layer, such as "256, 128", '
            f"or nothing for none; received {shown(text)}."
        )
    return units


def draft(values: Mapping[Any, Any]) -> dict[str, Any]:
    """Return what the widgets say, as plain data for `Experiment.parse`.

    Raises:
        ExperimentError: where something is missing, or typed so that nothing can be read from it.
    """
    if values["form.weights"] == "file" and not values["form.weights_path"]:
        raise ExperimentError("Initial weights from a file: name the file.")
    return {
        "data": data(values),
        "split": {"source": values["form.source"], "target": values["form.target"]},
        "backbone": values["form.backbone"],
        "initial_weights": {
            "source": values["form.weights"],
            "path": values["form.weights_path"] if values["form.weights"] == "file" else None,
            "run": values["form.weights_run"] if values["form.weights"] == "run" else None,
        },
        "input_side": values["form.input_side"],
        "pixels": values["form.pixels"] or None,
        "validation": {"on": values["form.validation"], "share": values["form.share"], "drawn": values["form.drawn"]},
        "features": values["form.features"],
        "phases": [
            _phase({name: values[f"form.{index}.{name}"] for name in _PHASE_FIELDS})
            for index in range(values["form.phases"])
        ],
    }


def data(values: Mapping[Any, Any]) -> dict[str, Any]:
    """Return what the widgets say about the images, as plain data for `Data.parse`."""
    chosen = {"name": values["form.data"], "location": values["form.location"] or None}
    if not DATASETS[values["form.data"]].classes:
        chosen |= {"classes": values["form.classes"], "image_side": values["form.image_side"]}
    return chosen | {"per_class": values["form.per_class"]}


_PHASE_FIELDS = tuple(_phase_fields(Phase(name="any", train_on="source")))


def _phase(values: Mapping[Any, Any]) -> dict[str, Any]:
    freeze: dict[str, Any] = {
        "blocks": {"rule": "first_blocks", "count": values["blocks"]} if values["blocks"] else {},
        "layers": {"rule": "first_layers", "count": values["layers"]},
        "last": {"rule": "all_but_last_layers", "count": values["last"]},
        "only": {"rule": "all_but_block", "block": values["only"]},
    }[values["rule"]]
    own = OWN_OPTION.get(values["optimizer"])
    layers: list[dict[str, Any]] = []
    if values["head"] == "layers":
        layers = values["as_loaded"] or _new_layers(values)
    head: dict[str, Any] | None = {
        "from_layer": values["from_layer"] if values["head"] == "layers" else "output",
        "anew_from": values["anew_from"],
        "layers": layers,
        "outputs": values["outputs"],
    }
    return {
        "name": values["name"],
        "train_on": values["train_on"],
        "freeze": freeze,
        "head": None if values["head"] == "keep" else head,
        **{name: values[name] for name in _AS_THEY_ARE},
        **({own: values[own]} if own else {}),
        "early_stopping": None
        if values["stop.watch"] == "never"
        else {name: values[f"stop.{name}"] for name in EarlyStopping.model_fields},
        "schedule": _chosen(values["schedule"], values),
        "augmentation": [_chosen(kind, values) for kind in values["augmentation"]],
        "augmented_copies": values["augmented_copies"] if takes_copies(values["augmentation"]) else None,
    }


def takes_copies(augmentation: Sequence[str]) -> bool:
    """Whether a phase with these kinds of augmentation may train on a number of augmented copies."""
    return bool(augmentation) and "mixup" not in augmentation


def _chosen(kind: str, values: Mapping[Any, Any]) -> dict[str, Any]:
    """Return a schedule or a change to images with its options."""
    if kind == "steps":
        return {"kind": kind, "milestones": _milestones(values["steps.milestones"], values["epochs"])}
    return {"kind": kind} | {name: values[f"{kind}.{name}"] for name in _OPTIONS[kind] if name != "kind"}


def options_of(kind: str) -> list[str]:
    """Return the names of the fields that a schedule or a change to images has in a phase."""
    return [f"{kind}.{name}" for name in _OPTIONS[kind] if name != "kind"]


def network_input(data: Data, values: Mapping[Any, Any]) -> Experiment:
    """Return the simplest experiment whose network sees these images as the form says: for what is said about it."""
    return Experiment.parse(
        {
            "data": data,
            "split": {"source": [0, 1], "target": [0, 1]},
            "backbone": values["form.backbone"],
            "input_side": values["form.input_side"],
            "pixels": values["form.pixels"] or None,
            "phases": [{"name": "any", "train_on": "source"}],
        }
    )


def blocks_of(backbone: str) -> list[str]:
    """Return the names of a backbone's blocks, from the image on."""
    return list(dict.fromkeys(block for _, block in BACKBONES[backbone].layers()))


def without_freezing(plain: dict[str, Any]) -> dict[str, Any]:
    """Return a draft with nothing frozen: its networks say how far a freeze depth can go."""
    return plain | {"phases": [phase | {"freeze": {}} for phase in plain["phases"]]}


def weights_for(row: Backbone) -> list[str]:
    """Return the sources of initial weights that a backbone has."""
    learned = row.application is not None and bool(row.application.imagenet)
    return [source for source in WEIGHTS if source != "imagenet" or learned]


def shorten(values: MutableMapping[Any, Any]) -> None:
    """Bring what would wait for later epochs than its phase has back into reach."""
    for index in range(values["form.phases"]):
        last = values[f"form.{index}.epochs"] - 1
        for name, most in {"cosine.warm_up": last, "plateau.patience": last or 1, "stop.patience": last or 1}.items():
            if values[f"form.{index}.{name}"] > most:
                values[f"form.{index}.{name}"] = most


def clamp(values: MutableMapping[Any, Any], shape: Experiment) -> None:
    """Bring freeze depths and head positions that the networks of `shape` do not have back into reach."""
    for index, network in enumerate(shape.networks):
        for name, limit in most_to_count(network).items():
            values[f"form.{index}.{name}"] = min(values[f"form.{index}.{name}"], limit)
        if values[f"form.{index}.only"] not in {block.name for block in network.blocks}:
            values[f"form.{index}.only"] = "output"


def most_to_count(network: Network) -> dict[str, int]:
    """Return how far each rule that counts may go in a network, so that its last block or layer trains."""
    blocks, layers = len(network.blocks), len(network.layers)
    return {"blocks": blocks - 1, "layers": layers - 1, "last": layers}


def head_starts(shape: Experiment, index: int) -> dict[str, str]:
    """Return the layers from which a phase may put new ones, and what makes a row of the image that reaches each.

    These are the layer that makes a row of values of the image, those with parameters behind it, and the one from
    which the phase has new layers. Of one that a row reaches, that is "".
    """
    head = shape.phases[index].head
    if index:
        before = shape.networks[index - 1]
    else:
        begins = shape.phases[0].model_copy(update={"head": None, "freeze": Freeze()})
        before = changed(shape, phases=(begins,)).networks[0]
    starts, fed = {}, Shape(shape.input_shape)
    for layer in before.layers:
        image, own = len(fed) == 3, head is not None and head.from_layer == layer.name
        if own or (len(layer.output_shape) == 1 and (image or layer.params)):
            starts[layer.name] = (layer.layer.kind if layer.layer.kind in TO_ROW else "flatten") if image else ""
        fed = layer.output_shape
    return starts
