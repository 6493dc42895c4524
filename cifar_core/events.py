"""What a run did and when, for programs: one JSON object a line in `events.jsonl` in the run's folder.

Every line has `time` (UTC), `run` and `event`: started, state, phase, features, epoch, phase_ended or ended. What
libraries print stays in `log.txt` beside it.
"""

import json
import logging
import math
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

FILE = "events.jsonl"
_LOG = logging.getLogger(__name__)


def note(folder: Path, event: str, **fields: Any) -> None:
    """Add a line to the events of the run whose folder this is. A disk that takes none does not end a run."""
    line = {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), "run": folder.name, "event": event}
    finite = {
        name: None if isinstance(value, float) and not math.isfinite(value) else value for name, value in fields.items()
    }
    try:
        with (folder / FILE).open("a", encoding="utf-8") as file:
            file.write(json.dumps(line | finite, default=str) + "\n")
    except OSError as error:
        _LOG.warning("An event of the run %s could not be kept: %s", folder.name, error)
