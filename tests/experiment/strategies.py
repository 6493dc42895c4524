"""Hypothesis strategies: experiments that are valid, and JSON that may be anything."""

from typing import Any

from hypothesis import strategies as st

from cifar_core.experiment.applications import BaseLayer
from cifar_core.experiment.augmentation import Augmentation, Colour, Crop, Cutout, Flip, Mixup
from cifar_core.experiment.backbones import BACKBONES
from cifar_core.experiment.datasets import DATASETS
from cifar_core.experiment.experiment import (
    ClassSplit,
    Data,
    EarlyStopping,
    Experiment,
    Freeze,
    Head,
    InitialWeights,
    Phase,
    Validation,
)
from cifar_core.experiment.layers import Conv, Dense, Dropout, Flatten, Layer, MaxPool
from cifar_core.experiment.network import Network
from cifar_core.experiment.pixels import PIXEL_SCALES
from cifar_core.experiment.schedules import Constant, Cosine, Exponential, Milestone, Plateau, Schedule, Steps

WORDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
SHARES = st.floats(0.01, 0.99)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


def class_splits(count: int) -> st.SearchStrategy[ClassSplit]:
    """Any classes on either side, in any order."""
    side = st.lists(st.integers(0, count - 1), min_size=2, max_size=count, unique=True).map(tuple)
    return st.builds(ClassSplit, source=side, target=side)


@st.composite
def experiments(draw: st.DrawFn) -> Experiment:
    """Valid experiments of one to three phases, with every kind of head and freeze depth."""
    dataset = draw(st.sampled_from(["cifar10", "sample"]))
    backbone = draw(st.sampled_from(["two-conv", "three-conv", "bn-conv", "mobilenet", "inception-v3"]))
    application = BACKBONES[backbone].application
    experiment = Experiment(
        data=Data(
            name=dataset,
            per_class=draw(st.none() | st.integers(2, 5000)),
            location=draw(st.none() | WORDS),
        ),
        split=draw(class_splits(len(DATASETS[dataset].classes))),
        backbone=backbone,
        initial_weights=draw(
            st.just(InitialWeights(source="imagenet" if application else "random"))
            | st.builds(InitialWeights, source=st.just("file"), path=WORDS)
            | st.builds(InitialWeights, source=st.just("run"), run=WORDS)
        ),
        input_side=draw(st.none() | st.integers(max(BACKBONES[backbone].smallest_input), 160)),
        pixels=draw(st.none() | st.sampled_from(list(PIXEL_SCALES))),
        features=draw(st.sampled_from(["full", "half", "off"])),
        validation=draw(
            st.builds(
                Validation,
                on=st.sampled_from(["train share", "test"]),
                share=SHARES,
                drawn=st.sampled_from(["stratified", "random", "last"]),
            )
        ),
        phases=(Phase(name="first", train_on="source"),),
    )
    phases: tuple[Phase, ...] = ()
    for name in draw(st.lists(WORDS, min_size=1, max_size=3, unique=True)):
        phases = (*phases, draw(_phases(experiment, phases, name)))
    return _with(experiment, phases)


def _with(experiment: Experiment, phases: tuple[Phase, ...]) -> Experiment:
    return Experiment.parse({**experiment.model_dump(), "phases": phases})


@st.composite
def _phases(draw: st.DrawFn, experiment: Experiment, before: tuple[Phase, ...], name: str) -> Phase:
    """A phase that fits behind those before it: its freeze depth is drawn from its own network."""
    side = draw(st.sampled_from(["source", "target"]))
    kept = len(experiment.split.source if side == "source" else experiment.split.target)
    earlier = _with(experiment, before).networks[-1] if before else None
    head = None
    if (earlier is not None and earlier.outputs < kept) or draw(st.booleans()):
        head = draw(_heads(earlier or experiment.networks[0], experiment.input_shape))
    phase = Phase(name=name, train_on=side, head=head, **draw(_training_options()))
    network = _with(experiment, (*before, phase)).networks[-1]
    return phase.model_copy(update={"freeze": draw(_freezes(network))})


@st.composite
def _training_options(draw: st.DrawFn) -> dict[str, Any]:
    epochs = draw(st.integers(1, 10_000))
    waits = st.integers(1, max(1, min(1000, epochs - 1)))
    optimizer = draw(st.sampled_from(["rmsprop", "adam", "adamw", "sgd"]))
    augmentation = draw(st.lists(AUGMENTATION, max_size=5, unique_by=lambda change: change.kind))
    copied = augmentation and all(change.kind != "mixup" for change in augmentation)
    return {
        "epochs": epochs,
        "batch_size": draw(st.integers(1, 65_536)),
        "optimizer": optimizer,
        "learning_rate": draw(st.floats(1e-9, 100)),
        "momentum": draw(SHARES) if optimizer in ("sgd", "rmsprop") else 0.0,
        "weight_decay": draw(SHARES) if optimizer == "adamw" else 0.0,
        "block_rate_factor": draw(SHARES),
        "clip_norm": draw(st.none() | st.floats(1e-3, 1e3)),
        "schedule": draw(_schedules(epochs, waits)),
        "early_stopping": draw(
            st.none()
            | st.builds(
                EarlyStopping,
                watch=st.sampled_from(["val_loss", "val_accuracy"]),
                patience=waits,
                smallest_gain=st.floats(0, 1),
            )
        ),
        "label_smoothing": draw(SHARES),
        "class_weights": draw(st.sampled_from(["equal", "balanced"])),
        "augmentation": tuple(augmentation),
        "augmented_copies": draw(st.none() | st.integers(1, 100)) if copied else None,
    }


AUGMENTATION: st.SearchStrategy[Augmentation] = st.one_of(
    st.just(Flip()),
    st.builds(Crop, padding=st.integers(1, 128)),
    st.builds(Cutout, size=st.integers(1, 512)),
    st.builds(Colour, strength=SHARES),
    st.builds(Mixup, alpha=SHARES),
)


def _schedules(epochs: int, waits: st.SearchStrategy[int]) -> st.SearchStrategy[Schedule]:
    plans: list[st.SearchStrategy[Schedule]] = [
        st.just(Constant()),
        st.builds(Exponential, factor=SHARES),
        st.builds(Cosine, warm_up=st.integers(0, epochs - 1), final=SHARES),
        st.builds(Plateau, factor=SHARES, patience=waits),
    ]
    if epochs > 1:
        milestones = st.lists(
            st.builds(Milestone, after_epochs=st.integers(1, epochs - 1), factor=st.floats(1e-6, 100)),
            min_size=1,
            max_size=4,
            unique_by=lambda milestone: milestone.after_epochs,
        ).map(lambda drawn: tuple(sorted(drawn, key=lambda milestone: milestone.after_epochs)))
        plans.append(st.builds(Steps, milestones=milestones))
    return st.one_of(plans)


@st.composite
def _heads(draw: st.DrawFn, network: Network, image: tuple[int, ...]) -> Head:
    first = sum(isinstance(layer.layer, BaseLayer) for layer in network.layers)
    place = draw(st.integers(first, len(network.layers) - 1))
    shape = network.layers[place - 1].output_shape if place else image
    layers: list[Layer] = []
    if len(shape) == 3:
        if min(shape[:2]) >= 3 and draw(st.booleans()):
            layers.append(Conv(filters=draw(st.integers(1, 8)), kernel=draw(st.integers(1, 3))))
        elif min(shape[:2]) >= 2 and draw(st.booleans()):
            layers.append(MaxPool(size=2))
        layers.append(Flatten())
    layers += draw(
        st.lists(
            st.builds(Dense, units=st.integers(1, 64), activation=st.sampled_from(["linear", "relu", "softmax"]))
            | st.builds(Dropout, rate=st.floats(0, 0.99)),
            max_size=3,
        )
    )
    outputs = draw(st.sampled_from(["classes", "data set"]))
    return Head(from_layer=network.layers[place].name, layers=tuple(layers), outputs=outputs)


def _freezes(network: Network) -> st.SearchStrategy[Freeze]:
    """Every freeze depth that leaves something to train: the output layer, or a block with parameters."""
    return (
        st.just(Freeze())
        | st.builds(Freeze, rule=st.just("first_blocks"), count=st.integers(1, len(network.blocks) - 1))
        | st.builds(Freeze, rule=st.just("first_layers"), count=st.integers(1, len(network.layers) - 1))
        | st.builds(Freeze, rule=st.just("all_but_last_layers"), count=st.integers(1, len(network.layers)))
        | st.builds(
            Freeze,
            rule=st.just("all_but_block"),
            block=st.sampled_from([block.name for block in network.blocks if block.params]),
        )
        if len(network.blocks) > 1
        else st.just(Freeze())
    )
