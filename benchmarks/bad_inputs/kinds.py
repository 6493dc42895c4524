"""All kinds of input."""

import random
from collections.abc import Callable
from pathlib import Path

from benchmarks.bad_inputs.archives import archive, batch_file
from benchmarks.bad_inputs.command_line import command_line
from benchmarks.bad_inputs.experiments import experiment_file, filled_form, set_option
from benchmarks.bad_inputs.images import folder, image
from benchmarks.bad_inputs.inputs import Input
from benchmarks.bad_inputs.links import link
from benchmarks.bad_inputs.weights import weights

KINDS: dict[str, tuple[int, Callable[[random.Random, Path], Input]]] = {
    "experiment file": (270, experiment_file),
    "--set": (200, set_option),
    "form": (100, filled_form),
    "command line": (90, command_line),
    "link": (40, link),
    "batch": (100, batch_file),
    "archive": (60, archive),
    "image": (60, image),
    "folder": (20, folder),
    "weights": (60, weights),
}
"""Every kind of input: its share of all inputs, and what makes one."""
