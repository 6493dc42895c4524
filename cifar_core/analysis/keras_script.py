"""A run as a Keras script and as a notebook, which reproduce it without Transfer Lab.

Both are the same cells. What the script draws at random it draws from the streams of the run, so it measures the same
up to rounding. A few functions are copied from `cifar_core.training` word for word, and thus never fall behind it.
"""

import ast
import json
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from itertools import groupby
from typing import Any

from cifar_core.analysis.labels import labels
from cifar_core.experiment.applications import BaseLayer
from cifar_core.experiment.augmentation import Augmentation, Colour, Crop, Cutout, Flip, Mixup
from cifar_core.experiment.experiment import Experiment, Phase
from cifar_core.experiment.layers import BatchNorm, Conv, Dense, Dropout, Flatten, GlobalAveragePool, Layer, MaxPool
from cifar_core.experiment.measured import Run
from cifar_core.experiment.record import ExperimentError
from cifar_core.experiment.schedules import Constant, Cosine, Exponential, Plateau, Steps
from cifar_core.experiment.wording import class_list, how_it_trains, initial_weights, network_input, trained_share

_WIDTH = 100


class ScriptError(ExperimentError):
    """A run that no script can reproduce; the message says why, and what to do."""


@dataclass(frozen=True)
class Cell:
    """A part of the script: text in Markdown, or code."""

    kind: str
    text: str


def keras_script(run: Run) -> str:
    """Return the run as a Python script: images are Keras's own CIFAR-10, or a folder or .npz named behind it.

    Raises:
        ScriptError: where the run began with weights from a file of the user's.
    """
    return "\n\n".join(_as_comment(cell.text) if cell.kind == "markdown" else cell.text for cell in cells(run)) + "\n"


def keras_notebook(run: Run) -> str:
    """Return the run as a Jupyter notebook (nbformat 4).

    Raises:
        ScriptError: as `keras_script`.
    """
    parts: list[dict[str, Any]] = [
        {"cell_type": cell.kind, "id": f"cell-{number}", "metadata": {}, "source": cell.text}
        | ({"execution_count": None, "outputs": []} if cell.kind == "code" else {})
        for number, cell in enumerate(cells(run, notebook=True), start=1)
    ]
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    return json.dumps({"cells": parts, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}, indent=1)


def cells(run: Run, *, notebook: bool = False) -> list[Cell]:
    """Return what script and notebook consist of, in order.

    Raises:
        ScriptError: as `keras_script`.
    """
    experiment = run.experiment
    if experiment.initial_weights.source == "file":
        raise ScriptError(
            "This run began with weights from a file of yours, whose form a plain script cannot know. Export a run "
            "from random or ImageNet weights, or one that begins where another run ended."
        )
    if any(phase.augmented_copies for phase in experiment.phases):
        raise ScriptError(
            "A phase of this run trained on a number of augmented copies, which a plain script cannot make. Export a "
            "run without them."
        )
    found = [
        Cell("markdown", _introduction(run)),
        Cell("code", _beginning(run, notebook)),
        Cell("markdown", "## Random numbers\n\nEvery draw has an address, so that none depends on what was drawn."),
        Cell("code", _copied("streams", "stream") + "\n\n\n" + _RESET),
        Cell("markdown", "## Images"),
        Cell("code", _load(experiment)),
        Cell("code", _choose(experiment)),
        Cell("markdown", "## Training"),
        Cell("code", _helpers(experiment)),
    ]
    for index, phase in enumerate(experiment.phases):
        found.append(Cell("markdown", _about_phase(experiment, index, phase)))
        found.append(Cell("code", _phase(experiment, index, phase)))
    return [*found, Cell("markdown", "## Results"), Cell("code", _END)]


def _as_comment(text: str) -> str:
    return "\n".join(f"# {line}".rstrip() for line in _wrapped(text))


def _wrapped(text: str) -> Iterator[str]:
    for line in text.splitlines():
        yield from textwrap.wrap(line, _WIDTH - 2, break_long_words=False) or [""]


def _copied(module: str, *names: str) -> str:
    """Return the source of functions and constants of a module of `cifar_core.training`, without importing it."""
    source = files("cifar_core.training").joinpath(f"{module}.py").read_text(encoding="utf-8")
    defined = {
        node.name if isinstance(node, ast.FunctionDef) else ast.unparse(node.targets[0]): node
        for node in ast.parse(source).body
        if isinstance(node, ast.FunctionDef | ast.Assign)
    }
    return "\n\n\n".join(ast.get_source_segment(source, defined[name]) or "" for name in names)


def _introduction(run: Run) -> str:
    experiment = run.experiment
    versions = run.environment.get("versions", {})
    packages = " ".join(f"{name}=={versions[name]}" for name in ("tensorflow", "keras") if name in versions)
    flags = labels(run)
    paragraphs = [
        # A line break in a name would end the comment that it stands in.
        f"# {' '.join(run.name.split())}",
        f"Reproduces run {run.id} of Transfer Lab in plain Keras: the same images, initial weights, order of the "
        "images and dropout, so the same history up to rounding.",
        f"{initial_weights(experiment)} {network_input(experiment)}",
        f"Needs: pip install {packages or 'tensorflow keras'}",
        _where_images_come_from(experiment),
        _where_weights_come_from(experiment),
        f"To be said beside its numbers: {'; '.join(flags)}." if flags else "",
    ]
    return "\n\n".join(filter(None, paragraphs))


def _where_images_come_from(experiment: Experiment) -> str:
    if experiment.data.name == "cifar10":
        return (
            "Images: Keras's own CIFAR-10, downloaded where it is not there yet; or name, behind the script, the "
            "folder cifar-10-batches-py, or an .npz with x_train, y_train, x_test and y_test."
        )
    return (
        f"Images: {experiment.dataset.title}, as an .npz with x_train, y_train, x_test and y_test, which Transfer Lab "
        "exports beside this."
    )


def _where_weights_come_from(experiment: Experiment) -> str:
    if (run := experiment.initial_weights.run) is None:
        return ""
    return (
        f"Weights: the model of run {run}, which Transfer Lab exports as {_model_of(run)}. Put it beside this, or "
        "name it: the script's --weights, the notebook's WEIGHTS."
    )


def _model_of(run: str | None) -> str:
    return f"{run}-model.keras"


def _beginning(run: Run, notebook: bool) -> str:
    experiment = run.experiment
    needed = {
        "argparse": not notebook,
        "csv": True,
        "math": any(isinstance(phase.schedule, Cosine) for phase in experiment.phases),
        "pickle": experiment.data.name == "cifar10",
        "zlib": True,
    }
    lines = [f"import {name}" for name, used in needed.items() if used]
    if experiment.data.name == "cifar10":
        lines.append("from pathlib import Path")
    lines += ["", "import keras", "import numpy as np", "import tensorflow as tf"]
    if _builder(experiment).startswith("ResNet18"):
        lines.append("from keras import layers")
    usual = "None" if experiment.data.name == "cifar10" else '"images.npz"'
    begins_with_a_run, model = experiment.initial_weights.source == "run", _model_of(experiment.initial_weights.run)
    lines += ["", f"SEED = {run.seed}"]
    if notebook:
        lines.append(f"IMAGES = {usual}  # or a path")
        lines += [f'WEIGHTS = "{model}"  # or another path'] * begins_with_a_run
        return "\n".join(lines)
    lines.append("given = argparse.ArgumentParser()")
    lines.append(f'given.add_argument("images", nargs="?", default={usual})')
    lines += [f'given.add_argument("--weights", default="{model}")'] * begins_with_a_run
    lines += ["given = given.parse_args()", "IMAGES = given.images"]
    lines += ["WEIGHTS = given.weights"] * begins_with_a_run
    return "\n".join(lines)


_RESET = '''def reset_dropout(model, phase, epoch):
    """Let every layer that draws (Dropout) begin its stream for this epoch."""
    generators = [variable for variable in model.variables if variable.name == "seed_generator_state"]
    for position, state in enumerate(generators):
        state.assign(np.array([stream(SEED, "layers", phase, epoch, position), 0]))'''

_LOAD_CIFAR = '''def load(place):
    """Return (images, labels) to train on and to test on: bytes, in the order of the files."""
    if place is None:
        (x_train, y_train), (x_test, y_test) = keras.datasets.cifar10.load_data()
    elif Path(place).is_dir():
        (x_train, y_train), (x_test, y_test) = load_folder(Path(place))
    else:
        arrays = np.load(place)
        x_train, y_train, x_test, y_test = (arrays[name] for name in ("x_train", "y_train", "x_test", "y_test"))
    return (x_train, y_train.ravel()), (x_test, y_test.ravel())


def load_folder(folder):
    """Read the files that CIFAR-10 is published as. Unpickling executes: only for files that you trust."""
    sides = []
    for names in [[f"data_batch_{number}" for number in range(1, 6)], ["test_batch"]]:
        found = [pickle.loads((folder / name).read_bytes(), encoding="bytes") for name in names]
        pixels = np.concatenate([batch[b"data"] for batch in found])
        labels = np.concatenate([batch[b"labels"] for batch in found])
        sides.append((pixels.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1), labels))
    return sides'''

_LOAD_ARRAYS = '''def load(place):
    """Return (images, labels) to train on and to test on: bytes, in the order of the file."""
    arrays = np.load(place)
    return (arrays["x_train"], arrays["y_train"]), (arrays["x_test"], arrays["y_test"])'''


def _load(experiment: Experiment) -> str:
    loading = _LOAD_CIFAR if experiment.data.name == "cifar10" else _LOAD_ARRAYS
    return f"{loading}\n\n\n(x_train, y_train), (x_test, y_test) = load(IMAGES)"


_SHARED_OUT = {
    "stratified": """    apart = []
    for index, own in of_class.items():
        draw = np.random.default_rng([SEED, index, *b"validation"])
        apart.append(own[draw.permutation(len(own))][: max(1, round({share} * len(own)))])
    apart = np.sort(np.concatenate(apart))""",
    "random": """    draw = np.random.default_rng([SEED, 0, *b"validation of all"])
    apart = np.sort(known[draw.permutation(len(known))][: max(1, round({share} * len(known)))])""",
    "last": """    apart = known[int(len(known) * (1 - {share})) :]""",
}


def _choose(experiment: Experiment) -> str:
    validation = experiment.validation
    on_test = validation.on == "test"
    first = "" if experiment.data.per_class is None else f"[:{experiment.data.per_class}]"
    body = [
        "def choose(classes):",
        '    """Return the places of the images of some classes: to train on, to validate on and to test on."""',
        f"    of_class = {{index: np.flatnonzero(y_train == index){first} for index in classes}}",
        "    known = np.sort(np.concatenate(list(of_class.values())))",
        f"    test = np.sort(np.concatenate([np.flatnonzero(y_test == index){first} for index in classes]))",
    ]
    if on_test:
        body.append("    return known, test, test  # validated on the test images")
    else:
        body.append(_SHARED_OUT[validation.drawn].format(share=validation.share))
        body.append("    return np.setdiff1d(known, apart), apart, test")
    side = "test" if on_test else "train"
    return (
        "\n".join(body)
        + f'''


def images_of(classes, outputs):
    """Return (images, labels) to train on, to validate on and to test on; `outputs` are the network's classes."""
    train, validation, test = choose(classes)
    output_of = np.zeros(max(outputs) + 1, np.int32)
    output_of[list(outputs)] = range(len(outputs))
    return (
        (x_train[train], output_of[y_train[train]]),
        (x_{side}[validation], output_of[y_{side}[validation]]),
        (x_test[test], output_of[y_test[test]]),
    )'''
    )


def _helpers(experiment: Experiment) -> str:
    phases = experiment.phases
    augments = any(phase.augmentation for phase in phases)
    weighs = any(phase.class_weights == "balanced" for phase in phases)
    one_hot = any(phase.learns_one_hot for phase in phases)
    extra = ["outputs=None"] * one_hot + ["class_weights=None"] * weighs + ["augment=None"] * augments
    options = "".join(f", {each}" for each in ["callbacks=()", *extra])
    lines = [
        "history = []  # a row for each epoch; epoch 0 is the validation before any step",
        "",
        "",
        f"def train(phase, model, images, validation, *, epochs, batch_size{options}):",
        '    """Train in an order of the images that is drawn anew for every epoch, and note what is measured."""',
        "    pixels, labels = map(tf.constant, images)",
        "    order = tf.Variable(np.arange(len(labels)), trainable=False)",
    ]
    if augments:
        lines.append("    changes = tf.Variable(np.int64(0), trainable=False)  # where the epoch's stream begins")
    lines += [
        "",
        "    class Streams(keras.callbacks.Callback):",
        "        def on_epoch_begin(self, epoch, logs=None):",
        '            draw = np.random.default_rng(stream(SEED, "order", phase, epoch + 1))',
        "            order.assign(draw.permutation(len(labels)))",
        *(['            changes.assign(stream(SEED, "augment", phase, epoch + 1))'] if augments else []),
        "            reset_dropout(model, phase, epoch + 1)",
        "",
        *(["    @tf.autograph.experimental.do_not_convert"] if augments else []),
        "    def batch(step):",
        "        rows = order[step * batch_size : (step + 1) * batch_size]",
        "        x, y = tf.gather(pixels, rows), tf.gather(labels, rows)",
    ]
    if one_hot:
        lines += ["        if outputs:", "            y = tf.one_hot(y, outputs)"]
    if augments:
        lines += ["        if augment:", "            x, y = augment(x, y, tf.stack([changes, step]))"]
    if weighs:
        weighted = "tf.linalg.matvec(y, class_weights) if outputs else " * one_hot
        lines += [
            "        if class_weights is not None:",
            f"            return x, y, {weighted}tf.gather(class_weights, y)",
        ]
    lines.append("        return x, y")
    if one_hot:
        lines += [
            "",
            "    if outputs:",
            '        validation = validation[0], np.eye(outputs, dtype="float32")[validation[1]]',
        ]
    lines += [
        "",
        "    batches = tf.data.Dataset.range(-(-len(labels) // batch_size)).map(batch)",
        "    loss, accuracy = model.evaluate(*validation, batch_size=500, verbose=0)",
        '    history.append({"phase": phase + 1, "epoch": 0, "val_loss": loss, "val_accuracy": accuracy})',
        "    fitted = model.fit(",
        "        batches,",
        "        epochs=epochs,",
        "        validation_data=validation,",
        "        validation_batch_size=500,",
        "        callbacks=[Streams(), *callbacks],",
        "        shuffle=False,",
        "        verbose=2,",
        "    )",
        '    for epoch in range(len(fitted.history["loss"])):',
        "        measured = {name: values[epoch] for name, values in fitted.history.items() if name in COLUMNS}",
        '        history.append({"phase": phase + 1, "epoch": epoch + 1, **measured})',
        "",
        "",
        'COLUMNS = ["phase", "epoch", "loss", "accuracy", "val_loss", "val_accuracy"]',
    ]
    parts = ["\n".join(lines)]
    if any(isinstance(phase.schedule, Cosine) for phase in phases):
        parts.append(_COSINE)
    if weighs:
        parts.append(_BALANCED)
    if any(phase.block_rate_factor < 1 for phase in phases):
        parts.append(_FACTORS)
    if augments:
        parts.append(_copied("augmenting", *_changes(phases)))
    if _builder(experiment).startswith("ResNet18"):
        parts.append(_copied("resnet18", "resnet18", "_block", "_conv"))
    return "\n\n\n".join(parts)


_COSINE = '''class Cosine(keras.callbacks.Callback):
    """A linear rise over some epochs, then half a cosine down, step by step."""

    def __init__(self, rate, epochs, steps, warm_up, final):
        super().__init__()
        self.rate, self.epochs, self.steps, self.warm_up, self.final = rate, epochs, steps, warm_up, final

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_begin(self, batch, logs=None):
        at = self.epoch + batch / self.steps
        if at < self.warm_up:
            share = at / self.warm_up
        else:
            done = (at - self.warm_up) / (self.epochs - self.warm_up)
            share = self.final + (1 - self.final) * (1 + math.cos(math.pi * min(1.0, done))) / 2
        self.model.optimizer.learning_rate = self.rate * share'''

_BALANCED = '''def balanced(labels, outputs):
    """Return a weight for each output: the rarer its class, the larger."""
    counts = np.bincount(labels, minlength=outputs)
    return (len(labels) / (np.count_nonzero(counts) * np.maximum(counts, 1))).astype(np.float32)'''

_FACTORS = '''def layer_wise(kind, model, factors, decay=0.0, **options):
    """Return an optimizer that gives each layer its own factor of the learning rate."""
    of_variable = {id(v): factor for layer, factor in factors for v in layer.trainable_variables}
    factors = [of_variable[id(variable)] for variable in model.trainable_variables]

    class LayerWise(kind):
        def update_step(self, gradient, variable, learning_rate):
            rate = learning_rate * factors[self._get_variable_index(variable)]
            if decay:
                self.assign_sub(variable, variable * (decay * rate))
            super().update_step(gradient, variable, rate)

    return LayerWise(**options)'''


def _changes(phases: Sequence[Phase]) -> list[str]:
    """Return what the phases' augmentation needs of `training.augmenting`."""
    kinds = {change.kind for phase in phases for change in phase.augmentation}
    needed = {
        "flip": ["_flip"],
        "crop": ["_crop"],
        "cutout": ["GREY", "_cutout"],
        "colour": ["_colour", "_to_bytes"],
        "mixup": ["_mixup", "_beta", "_to_bytes"],
    }
    return list(dict.fromkeys(name for kind, names in needed.items() if kind in kinds for name in names))


def _about_phase(experiment: Experiment, index: int, phase: Phase) -> str:
    classes = class_list(experiment, experiment.classes_of(phase))
    return (
        f"### Phase {index + 1}: {' '.join(phase.name.split())}\n\nOn {classes}: {how_it_trains(phase)}.\n\n"
        f"{trained_share(experiment, index)}"
    )


def _phase(experiment: Experiment, index: int, phase: Phase) -> str:
    parts = []
    if index == 0 or phase.head is not None:
        parts.append(_network(experiment, index))
    if index == 0 and experiment.initial_weights.source == "run":
        parts.append(_from_run(experiment))
    parts.append(_freezing(experiment, index))
    outputs = tuple(each for each in experiment.output_classes(index) if each is not None)
    parts.append(f"images, validation, test = images_of({experiment.classes_of(phase)}, outputs={outputs})")
    if phase.augmentation:
        parts.append(_augment(phase.augmentation))
    parts.append(_training(experiment, index, phase))
    return "\n\n".join(parts)


def _builder(experiment: Experiment) -> str:
    application = experiment.backbone_row.application
    return "" if application is None else application.builder


def _network(experiment: Experiment, index: int) -> str:
    """The phase's network from the image on; what was there before keeps its weights."""
    scale = experiment.pixel_scale
    lines = ["before = network"] if index else []
    lines += [
        f'keras.utils.set_random_seed(stream(SEED, "weights", {index}))',
        f'pixels = keras.Input({experiment.image_shape}, dtype="uint8")',
    ]
    scaled = "keras.ops.flip(pixels, axis=-1)" if scale.reverse else "pixels"
    offset = f", {scale.offset!r}" if scale.offset else ""
    lines.append(f'x = keras.layers.Rescaling({scale.scale!r}{offset}, name="rescale")({scaled})')
    if experiment.input_shape != experiment.image_shape:
        height, width, _ = experiment.input_shape
        lines.append(f'x = keras.layers.Resizing({height}, {width}, interpolation="bilinear", name="resize")(x)')
    builder = _builder(experiment)
    if builder.startswith("ResNet18"):
        lines.append(f"x = resnet18(x, small_stem={builder.endswith('Small')}).output")
    elif builder:
        given = '"imagenet"' if index == 0 and experiment.initial_weights.source == "imagenet" else "None"
        lines.append(f"x = keras.applications.{builder}(include_top=False, weights={given}, input_tensor=x).output")
    network = experiment.networks[index]
    lines += [f"x = {_layer(each.layer)}(x)" for each in network.layers if not isinstance(each.layer, BaseLayer)]
    lines += [
        "model = keras.Model(pixels, x)",
        f"network = model.layers[-{len(network.layers)}:]  # without the input and what prepares it",
    ]
    if index:
        kept = sum(each.since < index for each in network.layers)
        lines += [f"for old, new in zip(before[:{kept}], network):", "    new.set_weights(old.get_weights())"]
    return "\n".join(lines)


def _layer(layer: Layer) -> str:
    options = [f'name="{layer.name}"']
    match layer:
        case Conv() | Dense():
            given = [str(layer.units)] if isinstance(layer, Dense) else [str(layer.filters), str(layer.kernel)]
            if isinstance(layer, Conv) and layer.padding != "valid":
                given.append(f'padding="{layer.padding}"')
            if layer.activation != "linear":
                given.append(f'activation="{layer.activation}"')
            if layer.l2:
                given.append(f"kernel_regularizer=keras.regularizers.L2({layer.l2!r})")
            options = [*given, *options]
        case MaxPool():
            options = [str(layer.size), *options]
        case Dropout():
            options = [repr(layer.rate), *options]
        case Flatten() | BatchNorm() | GlobalAveragePool():
            pass
    return f"keras.layers.{layer.keras_type}({', '.join(options)})"


def _from_run(experiment: Experiment) -> str:
    own = {id(layer) for layer, _ in experiment.backbone_row.layers()}
    count = sum(id(each.layer) in own for each in experiment.networks[0].layers)
    return (
        "learned = keras.models.load_model(WEIGHTS, compile=False)\n"
        "with_weights = [layer for layer in learned.layers if layer.weights]\n"
        f"for old, new in zip(with_weights, [layer for layer in network[:{count}] if layer.weights]):\n"
        "    new.set_weights(old.get_weights())"
    )


def _freezing(experiment: Experiment, index: int) -> str:
    lines = ["for layer in network:", "    layer.trainable = True"]
    layers = experiment.networks[index].layers
    for trainable, members in groupby(enumerate(layers), key=lambda each: each[1].trainable):
        places = [place for place, _ in members]
        if not trainable:
            to = "" if places[-1] == len(layers) - 1 else places[-1] + 1
            blocks = list(dict.fromkeys(layers[place].block for place in places))
            named = blocks[0] if len(blocks) == 1 else f"{blocks[0]} to {blocks[-1]}"
            lines += [
                f"for layer in network[{places[0] or ''}:{to}]:",
                f"    layer.trainable = False  # {named}",
            ]
    return "\n".join(lines)


def _call(function: str, arguments: Sequence[str]) -> str:
    """A call of a function, one argument a line."""
    return "\n".join([f"{function}(", *(f"    {argument}," for argument in arguments), ")"])


def _augment(augmentation: Sequence[Augmentation]) -> str:
    lines = ["def augment(x, y, seed):", f"    seeds = tf.random.split(seed, num={len(augmentation)})"]
    for position, change in sorted(enumerate(augmentation), key=lambda each: each[1].kind == "mixup"):
        seed = f"seeds[{position}]"
        match change:
            case Flip():
                lines.append(f"    x = _flip(x, {seed})")
            case Crop():
                lines.append(f"    x = _crop(x, {change.padding}, {seed})")
            case Cutout():
                lines.append(f"    x = _cutout(x, {change.size}, {seed})")
            case Colour():
                lines.append(f"    x = _colour(x, {change.strength!r}, {seed})")
            case Mixup():
                lines.append(f"    x, y = _mixup(x, y, {change.alpha!r}, {seed})")
    return "\n".join([*lines, "    return x, y"])


def _training(experiment: Experiment, index: int, phase: Phase) -> str:
    outputs = experiment.networks[index].outputs
    loss = "keras.losses.SparseCategoricalCrossentropy()"
    if phase.learns_one_hot:
        loss = f"keras.losses.CategoricalCrossentropy(label_smoothing={phase.label_smoothing!r})"
    compiled = _call(
        "model.compile",
        [f"optimizer={_optimizer(experiment, index, phase)}", f"loss={loss}", 'metrics=["accuracy"]'],
    )
    options = [str(index), "model", "images", "validation", f"epochs={phase.epochs}", f"batch_size={phase.batch_size}"]
    if callbacks := [*_schedule(phase), *_early_stopping(phase)]:
        options.append(f"callbacks=[{', '.join(callbacks)}]")
    if phase.learns_one_hot:
        options.append(f"outputs={outputs}")
    if phase.class_weights == "balanced":
        options.append(f"class_weights=balanced(images[1], {outputs})")
    if phase.augmentation:
        options.append("augment=augment")
    return f"{compiled}\n{_call('train', options)}"


def _optimizer(experiment: Experiment, index: int, phase: Phase) -> str:
    kind = {"rmsprop": "RMSprop", "adam": "Adam", "adamw": "AdamW", "sgd": "SGD"}[phase.optimizer]
    options = [f"learning_rate={phase.learning_rate!r}"]
    if phase.momentum:
        options.append(f"momentum={phase.momentum!r}")
    if phase.clip_norm is not None:
        options.append(f"global_clipnorm={phase.clip_norm!r}")
    layer_wise = phase.block_rate_factor < 1
    if phase.optimizer == "adamw" and not layer_wise:
        options.append(f"weight_decay={phase.weight_decay!r}")
    if not layer_wise:
        return f"keras.optimizers.{kind}({', '.join(options)})"
    if phase.optimizer == "adamw":  # Adam with the decay, which moves into the step
        kind = "Adam"
        options.append(f"decay={phase.weight_decay!r}")
    network = experiment.networks[index]
    behind = {block.name: k for k, block in enumerate(reversed(network.blocks))}
    factors = ", ".join(
        f"*[{phase.block_rate_factor!r}**{behind[block]}] * {len(list(members))}"
        for block, members in groupby(network.layers, key=lambda layer: layer.block)
    )
    given = [f"keras.optimizers.{kind}", "model", f"list(zip(network, [{factors}]))", *options]
    return f"layer_wise({', '.join(given)})"


def _schedule(phase: Phase) -> list[str]:
    rate = repr(phase.learning_rate)
    match phase.schedule:
        case Constant():
            return []
        case Steps(milestones=milestones):
            factor = "1.0"
            for each in milestones:
                factor = f"{each.factor!r} if epoch >= {each.after_epochs} else {factor}"
            return [f"keras.callbacks.LearningRateScheduler(lambda epoch, _: {rate} * ({factor}))"]
        case Exponential(factor=share):
            return [f"keras.callbacks.LearningRateScheduler(lambda epoch, _: {rate} * {share!r}**epoch)"]
        case Cosine(warm_up=warm_up, final=final):
            steps = f"-(-len(images[1]) // {phase.batch_size})"
            return [f"Cosine({rate}, {phase.epochs}, {steps}, warm_up={warm_up}, final={final!r})"]
        case Plateau(factor=share, patience=patience):
            given = f'"val_loss", factor={share!r}, patience={patience}, min_delta=0.0'
            return [f"keras.callbacks.ReduceLROnPlateau({given})"]


def _early_stopping(phase: Phase) -> list[str]:
    if (rule := phase.early_stopping) is None:
        return []
    mode = "min" if rule.watch == "val_loss" else "max"
    given = f'"{rule.watch}", min_delta={rule.smallest_gain!r}, patience={rule.patience}, mode="{mode}"'
    return [f"keras.callbacks.EarlyStopping({given}, restore_best_weights=True)"]


_END = """predicted = model.predict(test[0], batch_size=500, verbose=0).argmax(axis=1)
print(f"test: {(predicted == test[1]).mean():.1%} of {len(predicted):,} images right")
with open("history.csv", "w", newline="") as file:
    writer = csv.DictWriter(file, COLUMNS)
    writer.writeheader()
    writer.writerows(history)"""
