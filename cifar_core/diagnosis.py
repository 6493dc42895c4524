"""What a bug report needs to know about an installation: found out without changing anything, and without secrets."""

import os
import platform
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

import psutil
from sqlalchemy import func, select
from sqlalchemy.exc import DBAPIError

from cifar_core.data.arrays import open_arrays
from cifar_core.data.catalogue import find_images
from cifar_core.data.errors import DataError
from cifar_core.data.feature_store import feature_store
from cifar_core.data.sources import keras_home
from cifar_core.data.weights import imagenet_file
from cifar_core.experiment.backbones import BACKBONES
from cifar_core.experiment.experiment import Data
from cifar_core.home import artifacts_address, store_address
from cifar_core.limits import WHOLE, LimitError, limits, size_of, threads, whole
from cifar_core.runs.artifacts import Objects
from cifar_core.runs.errors import StoreError
from cifar_core.runs.postgresql import PostgreSQL
from cifar_core.runs.sqlite import SQLite
from cifar_core.runs.tables import SCHEMA_VERSION, runs, schema

PACKAGES = (
    *("streamlit", "tensorflow", "keras", "numpy", "scipy", "scikit-learn", "pandas", "pyarrow", "plotly", "pillow"),
    *("h5py", "pydantic", "sqlalchemy", "psutil", "psycopg", "distributed", "fsspec", "s3fs"),
)
SWITCHES = (
    *("TRANSFER_LAB_", "STREAMLIT_", "KERAS_", "TF_CPP_", "TF_ENABLE_", "TF_FORCE_", "TF_GPU_", "TF_NUM_", "TF_XLA_"),
    *("OMP_", "CUDA_", "XDG_DATA_HOME", "AWS_ENDPOINT_URL", "AWS_DEFAULT_REGION", "AWS_REGION", "AWS_PROFILE"),
)
"""How the names of variables begin that decide what Transfer Lab does."""
SECRET = re.compile(r"PRESENTER|KEY|SECRET|TOKEN|PASSWORD|COOKIE|CREDENTIAL", re.IGNORECASE)
PASSWORD_IN_ADDRESS = re.compile(
    r"(?<=://).*@|(?<=[?&;])[^=&;\s]*(password|token|secret|key)[^=]*=[^&;\s]*", re.IGNORECASE | re.DOTALL
)
"""Passwords may hold every sign, unescaped ones too: all up to the last @ is left out."""
LITTLE_ROOM = 1e9
SECONDS_TO_ANSWER = 1.0
SECONDS_FOR_A_DRIVER = 10.0
_BUSY_SECONDS = 2.0


def diagnosis(home: Path, environment: Mapping[str, str] = os.environ) -> dict[str, Any]:
    """Return what there is, by part, and under "problems" what is wrong with it, in sentences.

    Sizes are in bytes. Takes a second or so; TensorFlow is not imported: graphics cards are those of NVIDIA's driver.
    """
    problems: list[str] = []

    def told(find: Callable[[], Any]) -> Any:
        try:
            return find()
        except (DataError, StoreError, LimitError) as error:
            problems.append(str(error))
        except Exception as error:  # whatever it is, the other parts are still of use
            problems.append(f"{type(error).__name__}: {error}")
        return None

    found = {
        "versions": _versions(),
        "hardware": _hardware(),
        "home": str(home),
        "disk": told(lambda: _disk(home)),
        "store": told(lambda: _store(home)),
        "object store": told(_object_store),
        "data": told(lambda: _data(home)),
        "features": told(lambda: _features(home)),
        "weights": told(_weights),
        "limits": told(lambda: _limits(environment)),
        "switches": switches(environment),
        "app": _app(environment),
    }
    for variable in WHOLE:
        told(partial(whole, variable, environment))
    if found["disk"] is not None and found["disk"]["free"] < LITTLE_ROOM:
        problems.append(f"There is little room left on the disk of {home}: {found['disk']['free'] / 1e6:,.0f} MB.")
    if found["store"] is not None and found["store"].get("check", "ok") != "ok":
        problems.append(f"The store is damaged: {found['store']['check']}")
    for name, what in (found["data"] or {}).items():
        if what.startswith("damaged"):
            problems.append(f"{name}: {what}")
    return found | {"problems": problems}


def text(found: Mapping[str, Any]) -> str:
    """Return a diagnosis as text, a line for each thing."""
    lines: list[str] = []
    for part, content in found.items():
        if isinstance(content, dict):
            lines += [f"{part}:", *(f"  {name}: {_shown(value)}" for name, value in content.items())]
        elif isinstance(content, list):
            lines += [f"{part}: {'none' if not content else ''}".rstrip(), *(f"  {each}" for each in content)]
        else:
            lines.append(f"{part}: {_shown(content)}")
    return "\n".join(lines)


def switches(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that are set and decide something, with what is secret in them left out."""
    return {
        name: "(set, not shown)" if SECRET.search(name) else PASSWORD_IN_ADDRESS.sub("…@", value)
        for name, value in sorted(environment.items())
        if name.startswith(SWITCHES)
    }


def _shown(value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 1_000_000:
        return f"{value / 1e9:,.2f} GB" if value >= 1e9 else f"{value / 1e6:,.1f} MB"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "none"
    if isinstance(value, dict):
        return ", ".join(f"{name} {_shown(each)}" for name, each in value.items()) or "none"
    return str(value)


def _versions() -> dict[str, str]:
    def installed(package: str) -> str:
        try:
            return version(package)
        except PackageNotFoundError:
            return "not installed"

    return {"python": platform.python_version(), "system": platform.platform()} | {
        package: installed(package) for package in PACKAGES
    }


def _hardware() -> dict[str, Any]:
    memory = psutil.virtual_memory()
    return {
        "processor": platform.machine(),
        "cores": psutil.cpu_count(),
        "load": [round(each, 2) for each in psutil.getloadavg()],
        "memory": memory.total,
        "memory available": memory.available,
        "graphics cards": _graphics_cards(),
    }


def _graphics_cards() -> list[str]:
    """What the NVIDIA driver lists, or says instead; nothing where there is none."""
    if (command := shutil.which("nvidia-smi")) is None:
        return []
    try:
        said = subprocess.run(
            [command, "-L"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=SECONDS_FOR_A_DRIVER,
            encoding="utf-8",
            errors="replace",
        ).stdout
    except (OSError, subprocess.TimeoutExpired) as error:
        return [str(error)]
    return said.strip().splitlines()


def _disk(home: Path) -> dict[str, Any]:
    existing = next(folder for folder in (home, *home.parents) if folder.exists())
    usage = shutil.disk_usage(existing)
    return {"total": usage.total, "free": usage.free, "writable": os.access(existing, os.W_OK)}


def _store(home: Path) -> dict[str, Any]:
    address, file = store_address(), home / "store.sqlite"
    if address is None and not file.exists():
        return {"at": str(file), "runs": "none yet"}
    system = SQLite(file, _BUSY_SECONDS) if address is None else PostgreSQL(address, _BUSY_SECONDS)
    found: dict[str, Any] = {"at": system.name, "kind": type(system).__name__}
    try:
        with system.readers.begin() as connection:
            kept = connection.execute(select(schema.c.version)).scalar()
            states = connection.execute(select(runs.c.state, func.count()).group_by(runs.c.state))
            found |= {"schema": kept, "read by this version": SCHEMA_VERSION, "runs": {str(s): n for s, n in states}}
            if address is None:
                found |= {
                    "size": sum(each.stat().st_size for each in home.glob("store.sqlite*")),
                    "check": connection.exec_driver_sql("PRAGMA quick_check(1)").scalar(),
                }
    except DBAPIError as error:
        return found | {"check": system.sentence(error)}
    finally:
        system.readers.dispose()
    return found | {"artifacts": sum(size_of(folder) for folder in (home / "runs").glob("*") if folder.is_dir())}


def _object_store() -> dict[str, str]:
    if (address := artifacts_address()) is None:
        return {"at": "none: files of runs are in the home only"}
    objects = Objects(address)
    objects.check()
    return {"at": objects.name, "check": "answers"}


def _data(home: Path) -> dict[str, str]:
    cifar10 = find_images(Data(name="cifar10"), home=home)
    found = {"CIFAR-10": "not on this computer" if cifar10 is None else f"in {cifar10}"}
    for folder in sorted((home / "data").glob("*/about.json")):
        try:
            images = open_arrays(folder.parent)
        except DataError as error:
            found[folder.parent.name] = f"damaged: {error}"
        else:
            if images is not None:
                sides = f"{len(images.train_labels):,} + {len(images.test_labels):,} images"
                found[folder.parent.name] = f"{sides}, {len(images.dataset.classes)} classes. {images.provenance}"
    return found


def _features(home: Path) -> dict[str, Any]:
    store = feature_store(home)
    if store is None:
        return {"kept": "switched off"}
    entries = store.entries()
    return {"kept": len(entries), "size": sum(entry.bytes for entry in entries), "at most": store.budget}


def _weights() -> dict[str, Any]:
    rows = [(name, row.application) for name, row in BACKBONES.items() if row.application is not None]
    here = [name for name, application in rows if application.imagenet and imagenet_file(application).exists()]
    return {"Keras keeps its files in": str(keras_home()), "ImageNet weights of": here}


def _limits(environment: Mapping[str, str]) -> dict[str, Any]:
    own = limits(environment)
    found = {"threads": threads(environment), "memory": own.memory, "seconds": own.seconds, "disk": own.disk}
    return {name: "no limit" if limit is None else int(limit) for name, limit in found.items()}


def _app(environment: Mapping[str, str]) -> dict[str, Any]:
    port = environment.get("STREAMLIT_SERVER_PORT", "8501")
    address = f"http://127.0.0.1:{port}{environment.get('STREAMLIT_SERVER_BASE_URL_PATH', '')}/_stcore/health"
    try:
        with build_opener(ProxyHandler({})).open(address, timeout=SECONDS_TO_ANSWER) as answer:
            said = answer.read(100).decode(errors="replace").strip()
    except (URLError, OSError, ValueError) as error:
        said = f"nothing answers ({error})"
    return {"address": address, "health": said}
