"""What a run was computed on and with."""

import os
import platform
from importlib.metadata import version
from pathlib import Path

import tensorflow as tf

from cifar_core.limits import threads


def hardware() -> str:
    """Return processor, cores and graphics cards in one line, for people."""
    cards = [
        tf.config.experimental.get_device_details(card).get("device_name", card.name)
        for card in tf.config.list_physical_devices("GPU")
    ]
    allowed = threads()
    used = "" if allowed is None else f", {allowed} used"
    return ", ".join([f"{_processor()} ({os.cpu_count()} cores{used})", *cards, platform.system()])


def share_graphics_cards() -> None:
    """Let TensorFlow take a card's memory as it needs it instead of all at once. To be called before anything else."""
    for card in tf.config.list_physical_devices("GPU"):
        tf.config.experimental.set_memory_growth(card, True)


def versions() -> dict[str, str]:
    """Return the versions of what decides a run's numbers."""
    return {"python": platform.python_version()} | {
        name: version(name) for name in ("tensorflow", "keras", "numpy", "scikit-learn")
    }


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
