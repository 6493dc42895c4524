"""Images: CIFAR-10, the built-in sample and the user's own, as memory-mapped arrays; and which to use."""

from cifar_core.data.arrays import Images
from cifar_core.data.catalogue import find_images, open_images
from cifar_core.data.download import download_cifar10
from cifar_core.data.errors import DataError
from cifar_core.data.split import Selection, select

__all__ = ["DataError", "Images", "Selection", "download_cifar10", "find_images", "open_images", "select"]
