"""Draw what `benchmarks.frozen_depth` printed, as SVG: its ratios by epochs and by frozen depth. No Keras.

    python -m benchmarks.frozen_depth_figure < docs/frozen-depth.json > docs/frozen-depth.svg

Colours follow the reader's theme; a network is told apart by colour, dashes and the shape of its points.
"""

import json
import math
import sys
from collections.abc import Callable, Sequence
from html import escape
from typing import Any, NamedTuple

from cifar_core.analysis import colours

WIDTH, HEIGHT, PANEL = 880, 372, 440
LEFT, RIGHT, TOP, BOTTOM = 56, 30, 72, 58
PAPER = ("#FFFFFF", "#0E1117")
DASHES = ("", "7 4", "2 4")
TICKS = (0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500)


class Line(NamedTuple):
    """A network's ratios: points (x, ratio)."""

    name: str
    points: Sequence[tuple[float, float]]


def drawn(document: dict[str, Any]) -> str:
    """Return the figure as the text of an SVG file; `document` is what `benchmarks.frozen_depth` prints."""
    networks = document["networks"]
    by_epochs = [_line(each["title"], each["epochs"], "epochs") for each in networks]
    by_depth = [_line(each["title"], each["depths"], "frozen") for each in networks]
    ratios = [ratio for line in (*by_epochs, *by_depth) for _, ratio in line.points]
    shown = max(t for t in TICKS if t <= min(ratios)), min(t for t in TICKS if t >= max(ratios))
    epochs = networks[0]["epochs_by_depth"]
    panels = (
        (0, by_epochs, math.log, "epochs, all but the output layer frozen"),
        (PANEL, by_depth, float, f"blocks frozen, counted from the image; {epochs} epochs"),
    )
    said = "; ".join(
        f"{line.name}, {title}: " + ", ".join(f"{x:g}: {_times(ratio)}" for x, ratio in line.points)
        for _, lines, _, title in panels
        for line in lines
    )
    title = "CPU seconds of Keras’s own fit with the same layers frozen / ours"
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" font-size="14" '
            'font-family="system-ui, sans-serif">',
            f"<title>{title}</title>",
            f"<desc>{escape(said)}</desc>",
            f"<style>{_style(len(networks))}</style>",
            f'<rect class="paper" width="{WIDTH}" height="{HEIGHT}" rx="6"/>',
            _text(LEFT, 24, title),
            _legend([line.name for line in by_epochs]),
            *(_panel(left, lines, scaled, shown, title) for left, lines, scaled, title in panels),
            "</svg>\n",
        ]
    )


def _line(name: str, rows: Sequence[dict[str, Any]], x: str) -> Line:
    return Line(name, [(row[x], row["ratio_cpu"]) for row in rows])


def _times(ratio: float) -> str:
    return f"{ratio:.1f} ×"


def _style(networks: int) -> str:
    def of(dark: bool) -> str:
        hues = enumerate(colours.palette(dark)[:networks])
        return (
            f".paper{{fill:{PAPER[dark]}}}text{{fill:{colours.TEXT[dark]}}}.grid{{stroke:{colours.GRID[dark]}}}"
            f".one{{stroke:{colours.FAINT[dark]}}}"
            + "".join(f".n{place}{{stroke:{hue}}}.n{place}.mark{{fill:{hue}}}" for place, hue in hues)
        )

    return f"polyline{{fill:none;stroke-width:2.5}}{of(False)}@media(prefers-color-scheme:dark){{{of(True)}}}"


def _legend(names: Sequence[str]) -> str:
    parts, left = [], LEFT
    for place, name in enumerate(names):
        parts.append(_polyline(place, [(left, 45), (left + 40, 45)]) + _mark(place, left + 20, 45))
        parts.append(_text(left + 48, 50, name))
        left += 48 + 8 * len(name) + 20
    return "".join(parts)


def _panel(
    left: float, lines: Sequence[Line], scaled: Callable[[float], float], ratios: tuple[float, float], title: str
) -> str:
    xs = sorted({x for line in lines for x, _ in line.points})
    first, last = scaled(xs[0]), scaled(xs[-1])
    low, high = map(math.log, ratios)

    def x(value: float) -> float:
        return round(left + LEFT + (PANEL - LEFT - RIGHT) * (scaled(value) - first) / (last - first), 1)

    def y(ratio: float) -> float:
        return round(HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * (math.log(ratio) - low) / (high - low), 1)

    parts = []
    for tick in (tick for tick in TICKS if ratios[0] <= tick <= ratios[1]):
        kind = "one" if tick == 1 else "grid"
        parts.append(f'<line class="{kind}" x1="{x(xs[0])}" y1="{y(tick)}" x2="{x(xs[-1])}" y2="{y(tick)}"/>')
        parts.append(_text(x(xs[0]) - 12, y(tick) + 5, f"{tick:g} ×", "end"))
    parts += [_text(x(tick), HEIGHT - BOTTOM + 24, f"{tick:g}", "middle") for tick in xs]
    parts.append(_text((x(xs[0]) + x(xs[-1])) / 2, HEIGHT - 12, title, "middle"))
    for place, line in enumerate(lines):
        places = [(x(value), y(ratio)) for value, ratio in line.points]
        parts += [_polyline(place, places), *(_mark(place, *each) for each in places)]
        parts.append(_text(places[-1][0] - 4, places[-1][1] - 12, _times(line.points[-1][1]), "middle"))
    return "".join(parts)


def _polyline(place: int, points: Sequence[tuple[float, float]]) -> str:
    dash = DASHES[place % len(DASHES)]
    dashed = f' stroke-dasharray="{dash}"' if dash else ""
    return f'<polyline class="n{place}" points="{" ".join(f"{x},{y}" for x, y in points)}"{dashed}/>'


def _mark(place: int, x: float, y: float) -> str:
    """A point: round for the first network, square for the second, and so on."""
    if place % 2:
        return f'<rect class="n{place} mark" x="{x - 4:g}" y="{y - 4:g}" width="8" height="8"/>'
    return f'<circle class="n{place} mark" cx="{x:g}" cy="{y:g}" r="4"/>'


def _text(x: float, y: float, text: str, anchor: str = "start") -> str:
    return f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}">{escape(text)}</text>'


def main() -> None:
    print(drawn(json.load(sys.stdin)), end="")


if __name__ == "__main__":
    main()
