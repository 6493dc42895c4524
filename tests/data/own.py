"""Makes folders of tiny images per class, and Data for them."""

from pathlib import Path

from PIL import Image

from cifar_core.experiment.experiment import Data

COLOURS = ((200, 30, 30), (30, 200, 30), (30, 30, 200), (200, 200, 30))


def own(folder: Path, *classes: str, side: int = 8, **fields: int) -> Data:
    return Data.parse({"name": "folder", "location": str(folder), "classes": classes, "image_side": side, **fields})


def fill(folder: Path, **counts: int) -> Path:
    """So many PNG files in a folder of each class, one colour a class."""
    for (name, count), colour in zip(counts.items(), COLOURS, strict=False):
        for number in range(count):
            picture(folder / name / f"{number}.png", colour)
    return folder


def picture(path: Path, colour: tuple[int, ...] = COLOURS[0], size: tuple[int, int] = (12, 10)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)
    return path
