"""A Vega-Lite chart as a picture that stands alone: the browser saves what it draws as PNG, this makes the SVG."""

import json
import subprocess
import sys
from threading import Lock
from typing import Any

_WIDTH = 720  # pixels; heights are the charts' own
# In a process of its own: what draws takes 75 MB, which the server would keep.
_DRAW = (
    "import sys, vl_convert; "
    "drawn = vl_convert.vegalite_to_svg(sys.stdin.buffer.read().decode(), allowed_base_urls=[]); "
    "sys.stdout.buffer.write(drawn.encode())"
)
_one_at_a_time = Lock()


class PictureError(Exception):
    """A chart could not be drawn. The message says why."""


def svg(chart: dict[str, Any]) -> bytes:
    """Return a chart as SVG on white: a Vega-Lite specification whose data are named data frames, in light colours.

    Raises:
        PictureError: where the package vl-convert-python is missing, or refuses the chart.
    """
    alone = chart | {
        "datasets": {name: json.loads(frame.to_json(orient="records")) for name, frame in chart["datasets"].items()},
        "config": chart.get("config", {}) | {"font": "sans-serif", "background": "white", "mark": {"aria": False}},
        "width": _WIDTH,
    }
    with _one_at_a_time:  # a hall that clicks at the same moment waits for its turn
        made = subprocess.run([sys.executable, "-c", _DRAW], input=json.dumps(alone).encode(), capture_output=True)
    if made.returncode:
        said = made.stderr.decode(errors="replace").strip().splitlines() or [f"exit code {made.returncode}"]
        raise PictureError(f"The chart could not be drawn by vl-convert-python: {said[-1]}")
    return made.stdout
