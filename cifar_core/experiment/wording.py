"""Experiments in words that a person can say."""

from collections.abc import Sequence
from pathlib import PurePath

from cifar_core.experiment.experiment import Experiment, Phase
from cifar_core.experiment.layers import Conv, Dense
from cifar_core.experiment.recipes import recipe_of
from cifar_core.experiment.schedules import Cosine, Exponential, Plateau, Schedule, Steps


def class_list(experiment: Experiment, classes: Sequence[int]) -> str:
    """Return "airplane … deer" for neighbouring classes, all of them, or the names one by one."""
    names = [experiment.dataset.classes[index] for index in classes]
    if len(classes) == experiment.class_count:
        return f"all {len(classes)} classes"
    if len(names) > 2 and list(classes) == list(range(classes[0], classes[0] + len(classes))):
        return f"{names[0]} … {names[-1]}"
    return ", ".join(names)


def output_names(experiment: Experiment, phase: int) -> tuple[str, ...]:
    """Return what the outputs of a phase's network stand for."""
    return tuple(
        f"output {position}" if index is None else experiment.dataset.classes[index]
        for position, index in enumerate(experiment.output_classes(phase))
    )


def what_trains(experiment: Experiment, phase: int) -> str:
    """Return what a phase trains: "everything", "output only" or "dense_1 to output" (freezing leaves no gaps)."""
    blocks = [block for block in experiment.networks[phase].blocks if block.params]
    names = [block.name for block in blocks if block.trainable]
    if len(names) == len(blocks):
        return "everything"
    return f"{names[0]} only" if len(names) == 1 else f"{names[0]} to {names[-1]}"


def trained_share(experiment: Experiment, phase: int) -> str:
    """Return the sentence below the picture of the network: how many parameters train, and what the rest keeps."""
    network = experiment.networks[phase]
    if not network.non_trainable:
        return f"All {network.total:,} parameters train."
    share = 100 * network.trainable / network.total
    decimals = 0 if 1 <= share <= 99 else 2
    counts = f"{network.trainable:,} of {network.total:,} parameters train ({share:.{decimals}f} %)"
    frozen = {(layer.name, layer.since): layer.params for layer in network.layers if not layer.trainable}
    if not sum(frozen.values()):
        return f"{counts}; the rest are statistics of batch normalization, measured and not trained."
    initial = _initially_learned_on(experiment)
    learned_on: dict[str, None] = {}
    at_random = dict(frozen)
    if initial:
        own = {(layer.name, 0) for layer, _ in experiment.backbone_row.layers()}
        if any(frozen.get(layer) for layer in own):
            learned_on[initial] = None
        at_random = {layer: params for layer, params in at_random.items() if layer not in own}
    for earlier, before in zip(experiment.phases[:phase], experiment.networks, strict=False):
        trained = {(layer.name, layer.since) for layer in before.layers if layer.trainable and layer.params}
        if trained & frozen.keys():
            learned_on[class_list(experiment, experiment.classes_of(earlier))] = None
        at_random = {layer: params for layer, params in at_random.items() if layer not in trained}
    if not learned_on:
        return f"{counts}; the rest stays as it was initialized, at random."
    new = sum(at_random.values())
    exception = f", except for {new:,} that were never trained and stay random" if new else ""
    return f"{counts}; the rest stays as learned on {', then '.join(learned_on)}{exception}."


def _initially_learned_on(experiment: Experiment) -> str:
    initial = experiment.initial_weights
    return {
        "random": "",
        "imagenet": "ImageNet",
        "file": f"whatever {PurePath(initial.path or '').name} was",
        "run": f"the classes of run {initial.run}",
    }[initial.source]


def initial_weights(experiment: Experiment) -> str:
    """Return what the backbone knows before the first phase."""
    initial = experiment.initial_weights
    return {
        "random": "Random initial weights.",
        "imagenet": "Initial weights learned on ImageNet.",
        "file": f"Initial weights from the file {PurePath(initial.path or '').name}.",
        "run": f"Initial weights from run {initial.run}.",
    }[initial.source]


def network_input(experiment: Experiment) -> str:
    """Return what the network sees of the images: their size, and the scale of their pixels."""
    images, seen = ("×".join(map(str, shape[:2])) for shape in (experiment.image_shape, experiment.input_shape))
    size = f"Images of {images} pixels" + (f" are brought to {seen} (bilinear)" if seen != images else "")
    return f"{size}; pixel values: {experiment.pixel_scale.title}."


def how_it_trains(phase: Phase) -> str:
    """Return a phase's training options in one line: the usual ones, and whatever else is not left at nothing."""
    stopping, new = phase.early_stopping, phase.head.layers if phase.head else ()
    penalties = dict.fromkeys(f"{layer.l2:g}" for layer in new if isinstance(layer, Conv | Dense) and layer.l2)
    changes = [" ".join(map(str, dict(change).values())) for change in phase.augmentation]
    parts = [
        f"{phase.epochs} epoch" + "s" * (phase.epochs != 1),
        f"batch size {phase.batch_size}",
        f"{phase.optimizer} at {phase.learning_rate:g}",
        _schedule(phase.schedule),
        f"momentum {phase.momentum:g}" * bool(phase.momentum),
        f"weight decay {phase.weight_decay:g}" * bool(phase.weight_decay),
        f"layer-wise rate factor {phase.block_rate_factor:g}" * (phase.block_rate_factor < 1),
        f"gradient norm at most {phase.clip_norm:g}" if phase.clip_norm else "",
        f"L2 {' and '.join(penalties)} in the new layers" * bool(penalties),
        f"early stopping after {stopping.patience} epochs by {stopping.watch.replace('val_', 'validation ')}"
        if stopping
        else "",
        f"label smoothing {phase.label_smoothing:g}" * bool(phase.label_smoothing),
        "balanced class weights" * (phase.class_weights == "balanced"),
        f"augmentation: {', '.join(changes)}" * bool(changes),
        f"{phase.augmented_copies} augmented copies of each image" if phase.augmented_copies else "",
    ]
    return " · ".join(filter(None, parts))


def _schedule(schedule: Schedule) -> str:
    match schedule:
        case Steps(milestones=milestones):
            return f"rate {', '.join(f'× {each.factor:g} after {each.after_epochs}' for each in milestones)} epochs"
        case Exponential(factor=factor):
            return f"rate × {factor:g} every epoch"
        case Cosine(warm_up=warm_up, final=final):
            return f"cosine decay to × {final:g}" + (f" after {warm_up} epochs of warm-up" if warm_up else "")
        case Plateau(factor=factor, patience=patience):
            return f"rate × {factor:g} after {patience} epochs without lower validation loss"
    return ""


def run_name(experiment: Experiment, seed: int) -> str:
    """Return a name for a run, made from what tells it apart."""
    recipe = recipe_of(experiment)
    if recipe is not None:
        parts = [recipe.title]
        if recipe.experiment.initial_weights != experiment.initial_weights:
            parts.append("from random weights")
    else:
        sides = dict.fromkeys(phase.train_on for phase in experiment.phases)
        classes = {"source": experiment.split.source, "target": experiment.split.target}
        last = len(experiment.phases) - 1
        parts = [
            experiment.backbone,
            " → ".join(class_list(experiment, classes[side]) for side in sides),
            f"{what_trains(experiment, last)} in {experiment.phases[last].name}",
        ]
    if experiment.features != "full":
        parts.append({"half": "half-size features", "off": "no stored features"}[experiment.features])
    if experiment.data.per_class is not None:
        parts.append(f"{experiment.data.per_class} per class")
    return " · ".join([*parts, f"seed {seed}"])
