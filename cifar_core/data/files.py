"""Files that are replaced at once: who reads them sees the old one, or all of the new one."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield where to write what shall be in a file, at once or not at all: half a file would only take up a full disk.

    One writer at a time. Whatever ends the block early leaves the file as it was.

    Raises:
        OSError: as the file system says.
    """
    part = path.with_name(f"part-{path.name}")
    try:
        yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
