"""Text that people typed, shown as they typed it."""

import re


def plain(text: str) -> str:
    """Return text in which nothing is markdown: names and notes come from people, and class names from files."""
    return re.sub(r"([\\`*_{}\[\]()#+\-.!|~:$<>])", r"\\\1", text)
