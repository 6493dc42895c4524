"""Where Transfer Lab keeps what it writes: store, artifacts, data, downloads."""

import os
from pathlib import Path

import platformdirs


def home() -> Path:
    """The folder of this user's Transfer Lab: `$TRANSFER_LAB_HOME`, else the platform's per-user data folder.

    Only names the folder; whoever writes there creates it.
    """
    chosen = os.environ.get("TRANSFER_LAB_HOME")
    if chosen:
        return Path(chosen).expanduser().absolute()
    return Path(platformdirs.user_data_dir("transfer-lab", appauthor=False))
