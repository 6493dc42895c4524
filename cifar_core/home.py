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


def store_address() -> str | None:
    """The URL of the store, `$TRANSFER_LAB_STORE`, where several machines share one; None for a file in the home.

    Models and predictions are files: their homes are then one folder, too, at the same path on each, or each has its
    own and `artifacts_address` is set.
    """
    return os.environ.get("TRANSFER_LAB_STORE") or None


def artifacts_address() -> str | None:
    """The URL of the object store, `$TRANSFER_LAB_ARTIFACTS`, through which homes share files; None for none."""
    return os.environ.get("TRANSFER_LAB_ARTIFACTS") or None


def cluster_address() -> str | None:
    """The address of the Dask scheduler that places runs on machines, `$TRANSFER_LAB_CLUSTER`; None for this one."""
    return os.environ.get("TRANSFER_LAB_CLUSTER") or None
