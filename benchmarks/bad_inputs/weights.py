"""Files of weights; in their process Keras is imported."""

import io
import random
import re
import struct
import tempfile
import zipfile
from functools import cache
from pathlib import Path

import numpy as np

from benchmarks.bad_inputs.inputs import Input
from benchmarks.bad_inputs.nasty import damaged


def weights(draws: random.Random, place: Path) -> Input:
    from cifar_core.training.initial_weights import read_weights

    path = place / f"given{draws.choice(('.keras', '.h5', '.weights.h5'))}"
    match draws.randrange(3):
        case 0:
            path.write_bytes(_hostile_keras(draws, place))
        case 1:
            _hostile_hdf5(draws, path)
        case _:
            path.write_bytes(damaged(draws, _good_weights(draws.choice((".keras", ".h5", ".weights.h5")))))

    def give() -> str | None:
        read_weights(path)
        return None

    return Input(
        give, re.escape(path.name), f"{path.name}: {path.read_bytes()[:200]!r}" if path.is_file() else path.name
    )


@cache
def _good_weights(suffix: str) -> bytes:
    import keras

    model = keras.Sequential([keras.Input((6, 6, 3)), keras.layers.Conv2D(4, 3), keras.layers.Flatten()])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"model{suffix}"
        (model.save_weights if suffix == ".weights.h5" else model.save)(path)
        return path.read_bytes()


def _hostile_keras(draws: random.Random, place: Path) -> bytes:
    """A `.keras` file that would run something, write elsewhere or fill memory if it were loaded."""
    with zipfile.ZipFile(io.BytesIO(_good_weights(".keras"))) as good:
        members = {name: good.read(name) for name in good.namelist()}
    packing = zipfile.ZIP_STORED
    spoilt = place / "spoilt.h5"
    match draws.randrange(8):
        case 0:  # a Lambda layer: only a name here, as nothing is executed; the weights are not there
            members["config.json"] = b'{"class_name": "Lambda", "config": {"function": "os.system"}, "name": "a"}'
            members["model.weights.h5"] = draws.choice((b"", b"x" * 100))
        case 1:
            del members[draws.choice(("config.json", "model.weights.h5"))]
        case 2:
            members["model.weights.h5"] = bytes(draws.choice((10**6, 4 * 10**8)))
            packing = zipfile.ZIP_DEFLATED
        case 3:
            members["config.json"] = b'{"name": "' + b"a" * draws.choice((10**6, 2 * 10**8)) + b'"}'
            packing = zipfile.ZIP_DEFLATED
        case 4:
            members = {f"../../{name}": content for name, content in members.items()}
        case 5:
            members["config.json"] = draws.choice((b"\xff\xfe", b"", b"{}")) + draws.randbytes(50)
            members["model.weights.h5"] = damaged(draws, members["model.weights.h5"])
        case 6:
            _hostile_hdf5(draws, spoilt)
            members["model.weights.h5"] = spoilt.read_bytes()
        case _:
            members["model.weights.h5"] = _good_weights(".keras")  # a zip file in a zip file
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", packing) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    content = written.getvalue()
    if draws.random() < 0.2:  # other sizes in its directory
        content = content.replace(struct.pack("<I", len(members.get("model.weights.h5", b""))), b"\xff\xff\xff\x7f")
    return content


def _hostile_hdf5(draws: random.Random, path: Path) -> None:
    import h5py

    with h5py.File(path, "w") as file:
        older = draws.random() < 0.5
        group = file.create_group("conv" if older else "layers/conv/vars")
        first = "kernel" if older else "0"
        if older:
            file.attrs["layer_names"] = draws.choice(
                ([b"conv"], [b"conv", b"gone"], b"conv", 3, [b"\xff"], [b"../conv"])
            )
            group.attrs["weight_names"] = draws.choice(([b"kernel"], [b"gone"], 7, [b"/"], [b"."], b""))
        match draws.randrange(8):
            case 0:
                group.create_dataset(first, (10**6, 10**6), "f4", chunks=(1000, 1000))  # declared, never written
            case 1:
                group.create_dataset(first, (2 * 10**8,), "f4", chunks=(10**6,), compression="gzip")
            case 2:
                group[first] = h5py.ExternalLink("/etc/hostname", "/")
            case 3:
                group.create_dataset(first, (16,), "u1", external=[("/etc/passwd", 0, 16)])
            case 4:
                layout = h5py.VirtualLayout((16,), "f4")
                layout[:] = h5py.VirtualSource("/etc/passwd", "x", (16,))
                group.create_virtual_dataset(first, layout)
            case 5:
                group[first] = h5py.SoftLink(f"{group.name}/{first}")
            case 6:
                group[first] = draws.choice(
                    (np.array([b"text"]), np.array([1 + 2j]), np.bytes_(b"x"), np.array([True]))
                )
            case _:
                group.create_group(first if older else draws.choice(("0", "1", "x")))
