"""The data sets an experiment can name: one row each, plain data.

How a row's images are found, read or drawn is `cifar_core.data`'s business.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class DataSet:
    """What is known about a data set before any of its images is there.

    `classes` are the names in the order of the labels: label 0 is `classes[0]`.
    `train_per_class` and `test_per_class` count images of each class. The row of the user's own images knows
    neither: an experiment's `Data` fills in classes and size, and only the files know the counts.
    """

    name: str
    title: str
    classes: tuple[str, ...]
    image_shape: tuple[int, int, int]
    train_per_class: int
    test_per_class: int
    synthetic: bool
    description: str

    @property
    def train_size(self) -> int:
        """Number of training images."""
        return self.train_per_class * len(self.classes)

    @property
    def test_size(self) -> int:
        """Number of test images."""
        return self.test_per_class * len(self.classes)


DATASETS: dict[str, DataSet] = {
    row.name: row
    for row in (
        DataSet(
            name="cifar10",
            title="CIFAR-10",
            classes=(
                "airplane",
                "automobile",
                "bird",
                "cat",
                "deer",
                "dog",
                "frog",
                "horse",
                "ship",
                "truck",
            ),
            image_shape=(32, 32, 3),
            train_per_class=5000,
            test_per_class=1000,
            synthetic=False,
            description=(
                "60,000 colour photographs of 32×32 pixels in ten classes, collected by Alex Krizhevsky, "
                "Vinod Nair and Geoffrey Hinton (2009)."
            ),
        ),
        DataSet(
            name="sample",
            title="Built-in sample",
            classes=(
                "mug",
                "key",
                "leaf",
                "umbrella",
                "house",
                "bottle",
                "hammer",
                "mushroom",
                "glasses",
                "clock",
            ),
            image_shape=(32, 32, 3),
            train_per_class=1000,
            test_per_class=200,
            synthetic=True,
            description=(
                "12,000 pictures of 32×32 pixels in ten classes of everyday objects, drawn by Transfer Lab: "
                "no download, ready within seconds. Its figures say nothing about photographs."
            ),
        ),
        DataSet(
            name="folder",
            title="A folder of images",
            classes=(),
            image_shape=(0, 0, 3),
            train_per_class=0,
            test_per_class=0,
            synthetic=False,
            description="Your own images: a folder for each class, all brought to one size.",
        ),
    )
}
