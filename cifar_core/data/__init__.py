"""Images: CIFAR-10 in its official forms and the built-in sample, as memory-mapped arrays; and which to use."""

from cifar_core.data.arrays import Images
from cifar_core.data.catalogue import find_images, open_images
from cifar_core.data.download import download_cifar10
from cifar_core.data.errors import DataError
from cifar_core.data.split import Selection, select

__all__ = ["DataError", "Images", "Selection", "download_cifar10", "find_images", "open_images", "select"]
