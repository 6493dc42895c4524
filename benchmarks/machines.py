"""README's way from one machine to five, its commands tried on five machines. Prints JSON; takes minutes.

    python -m benchmarks.machines [--bucket] --json

Five machines of one computer: each has namespaces of its own for network, host name, processes and mounts, so its own
address, its own copy of this folder, of `/etc` and of all else that is written, and shares with the others a bridge and
the folder `/srv/lab`; with `--bucket`, in its place a bucket of moto's S3 server on the head. The commands are those of
README's section, read from there (`STEPS`); `not_tried` are the blocks that are not. Needs root on Linux, overlayfs,
iproute2, openssl and Debian's PostgreSQL; nothing leaves the namespaces, and the end of this process ends all of them.

- `runs`: short runs, by the machine that worked on each; `capacity`: what the Live page says about the machines.
- `refused`: what is said to whoever has no certificate, one of another authority, a wrong password, or no encryption.
- `pulled`: the cable of a machine with a run is pulled; `noticed_s` until the run is interrupted. It is resumed, and
  `joined_again_s` after the cable is back the machine is there again.
- `silent_database`: the database answers nobody for `--silence` s while a run trains, without a word to anybody.
- `head_pulled`: the cable of the head is pulled for as long.
- Of each: `ended`, `resumed_on`, and `as_undisturbed`: whether the history is that of a run that nobody disturbed.
- `processes_left`, `mounts_left`: after the end.
"""

import argparse
import asyncio
import contextlib
import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.asyncio.client import connect

from cifar_core import events
from cifar_core.experiment.experiment import Experiment
from cifar_core.experiment.measured import Run
from cifar_core.runs.patience import Patience
from cifar_core.runs.store import Store

ROOT = Path(__file__).resolve().parents[1]
SECTION = "## From one machine to five"
STEPS = {
    "certificates": "openssl req",
    "database": "createuser",
    "settings": "export TRANSFER_LAB_STORE",
    "bucket": "export TRANSFER_LAB_ARTIFACTS",
    "head": "dask scheduler",
    "machine": "dask worker",
}
"""The blocks of README that are tried, by words that only they contain."""
INSTALL = "apt install postgresql"
INSTALLED = "pg_createcluster 15 main --start"
"""What installing the package does, on a machine that has its programs already but no network to install from."""
BUCKET = ".venv/bin/moto_server -H 0.0.0.0 -p 9000 -s -c certificate.pem -k key.pem"
NEW_BUCKET = """.venv/bin/python -c "import boto3; boto3.client('s3').create_bucket(Bucket='lab')\""""
NAMES = ("head", "node1", "node2", "node3", "node4")
NEEDED = ("unshare", "nsenter", "ip", "openssl", "runuser", "pg_createcluster")
APART = ("unshare", "--net", "--uts", "--ipc", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")
NETWORK = "192.168.1"
CERTIFICATES = Path("/etc/transfer-lab")
SHARED = Path("/srv/lab")
REFUSAL = re.compile("alert|Error: |cannot be")
Measured = dict[tuple[int, int], tuple[float, float, float, float]]
_FOLDER = "TRANSFER_LAB_MACHINES"
"""Set to the folder of the trial in everything that belongs to it."""


def _experiment(epochs: int) -> Experiment:
    frozen = {"freeze": {"rule": "first_blocks", "count": 2}}
    base, tuned = {"name": "base", "train_on": "source"}, {"name": "tuned", "train_on": "target", **frozen}
    phases = [base | {"epochs": epochs}, tuned | {"epochs": 2}]
    return Experiment.parse({"data": {"name": "sample", "per_class": 50}, "phases": phases})


SHORT = _experiment(epochs=2)
LEAST_EPOCHS = 20
SECONDS_BETWEEN_LOOKS = 0.3
PATIENCE_SECONDS = 900.0
"""For what only takes long on a busy computer."""
SECONDS_TO_SPARE = 20.0
"""How long a run that is disturbed trains beyond the disturbance, if this computer does nothing else."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=8, help="short ones")
    parser.add_argument("--silence", type=float, default=20.0, help="seconds that database and head are away")
    parser.add_argument("--bucket", action="store_true", help="instead of the shared folder")
    parser.add_argument("--json", action="store_true", help="accepted for likeness: the output always is JSON")
    chosen = parser.parse_args()
    if folder := os.environ.get(_FOLDER):
        threading.Thread(target=_end_with_input, daemon=True).start()
        with Trial(Path(folder), bucket=chosen.bucket) as trial:
            (Path(folder) / "document.json").write_text(json.dumps(trial.run(chosen.runs, chosen.silence)))
        return
    if reason := cannot(bucket=chosen.bucket):
        parser.exit(2, f"{reason}\n")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # which leaves nothing behind either
    with tempfile.TemporaryDirectory(prefix="machines-") as folder:
        again = [sys.executable, "-m", "benchmarks.machines", *sys.argv[1:]]
        inside = subprocess.Popen(
            [*APART, *again],
            cwd=ROOT,
            env=os.environ | {_FOLDER: folder},
            stdin=subprocess.PIPE,
            start_new_session=True,
        )
        with inside:  # whose end closes its input, and so ends all
            if code := inside.wait():
                sys.exit(code)
        document = json.loads((Path(folder) / "document.json").read_text())
        document |= {"processes_left": _left(folder), "mounts_left": Path("/proc/mounts").read_text().count(folder)}
    print(json.dumps({"settings": vars(chosen)} | document, indent=2))


def cannot(*, bucket: bool = False) -> str:
    """Say why this computer cannot stand for five, or "" where it can; with a `bucket`, if there is to be one."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "Five machines in one need Linux's namespaces, and root to make them. Run it as root on Linux."
    if missing := [program for program in NEEDED if not shutil.which(program)]:
        return f"Expected the programs {', '.join(NEEDED)}; missing: {', '.join(missing)}. Install them (Debian: "
        "iproute2, openssl, postgresql)."
    if bucket and not (ROOT / BUCKET.split()[0]).exists():
        return "The bucket's server is moto's: .venv/bin/pip install -r requirements-dev.txt."
    return ""


def blocks() -> list[str]:
    """The blocks of commands in README's section, in order."""
    _, _, begun = (ROOT / "README.md").read_text(encoding="utf-8").partition(f"{SECTION}\n")
    return re.findall(r"^```\n(.*?)^```$", begun.partition("\n## ")[0], re.MULTILINE | re.DOTALL)


def step(name: str) -> str:
    """The one block of README's section for a step.

    Raises:
        ValueError: when there is none, or more than one.
    """
    found = [block for block in blocks() if STEPS[name] in block]
    if len(found) != 1:
        raise ValueError(f'Expected one block with "{STEPS[name]}" under "{SECTION}" in README.md, found {len(found)}.')
    return found[0]


class Switch:
    """The bridge that the machines are plugged into; this process is on it, too, as the computer of a visitor."""

    def __init__(self) -> None:
        _do("ip link set lo up && ip link add lan type bridge && ip link set lan up")
        _do(f"ip address add {NETWORK}.254/24 dev lan")

    def plug_in(self, machine: "Machine") -> None:
        """Connect a machine for the first time."""
        _do(f"ip link add {machine.name} type veth peer name eth0 netns {machine.pid}")
        _do(f"ip link set {machine.name} master lan up")
        machine.run(f"ip address add {machine.address}/24 dev eth0; ip link set eth0 up")

    def pull(self, machine: "Machine") -> None:
        """Pull its cable."""
        _do(f"ip link set {machine.name} down")

    def connect(self, machine: "Machine") -> None:
        """Plug its cable in again."""
        _do(f"ip link set {machine.name} up")


class Machine:
    """One of the five. What is started there ends with it, and it ends with this process."""

    def __init__(self, number: int, folder: Path, *, shares: bool):
        self.name, self.address = NAMES[number], _address(number)
        self._logs = folder / self.name
        self._logs.mkdir()
        overlays = "\n".join(
            f"mkdir -p {own}/upper {own}/work {place}\n"
            f"mount -t overlay -o lowerdir={place},upperdir={own}/upper,workdir={own}/work overlay {place}"
            for place in ("/etc", "/home", "/srv", "/var", ROOT)
            if (own := f"{self._logs}/own{place}")
        )
        # Of a PostgreSQL that this computer runs itself, the machine knows nothing, nor of the system's services.
        empty = " ".join(("/run", "/etc/postgresql", "/var/lib/postgresql", "/var/log/postgresql"))
        becomes = f"""
            set -e
            hostname {self.name}
            {overlays}
            for place in {empty}; do mount -t tmpfs tmpfs $place; done
            mkdir -p {SHARED} {CERTIFICATES} /home/lab
            {f"mount --bind {folder}/shared {SHARED}" if shares else ""}
            echo "{hosts()}" > /etc/hosts
            ip link set lo up
            echo ready
            read -r _
        """
        self._process = subprocess.Popen(
            [*APART, "bash", "-c", becomes], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        if self._process.stdout.readline() != "ready\n":
            raise OSError(f"The machine {self.name} could not be made.")
        self.pid = psutil.Process(self._process.pid).children()[0].pid

    def path(self, place: Path | str) -> Path:
        """Where this process finds a file of the machine's."""
        return Path(f"/proc/{self.pid}/root{place}")

    def run(self, commands: str, *, input: str = "", check: bool = True) -> str:
        """Run commands in Transfer Lab's folder there, and return what they print."""
        done = subprocess.run(
            self._inside(commands),
            env=self._environment,
            input=input,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,  # without a terminal, a prompt reads its input
        )
        if check and done.returncode != 0:
            raise OSError(f"On {self.name}:\n{commands}\nended with {done.returncode}:\n{done.stdout}")
        return done.stdout

    def start(self, commands: str, log: str) -> None:
        """Start commands there that go on."""
        with (self._logs / f"{log}.log").open("wb") as output:
            subprocess.Popen(
                self._inside(commands),
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def end(self) -> None:
        """Switch it off."""
        self._process.kill()
        self._process.wait()

    def _inside(self, commands: str) -> list[str]:
        namespaces = ("--net", "--uts", "--ipc", "--mount", "--pid")
        return ["nsenter", "--target", str(self.pid), *namespaces, f"--wdns={ROOT}", "bash", "-e", "-c", commands]

    @property
    def _environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "HOME": "/home/lab",
            "TMPDIR": "/var/tmp",
            "TRANSFER_LAB_RUN_THREADS": "1",  # all share the cores of one computer
            "TRANSFER_LAB_REUSE": "off",  # what is compared was trained, each time
            _FOLDER: os.environ[_FOLDER],
        }


class Trial:
    """Five machines, brought up as README says."""

    def __init__(self, folder: Path, *, bucket: bool):
        self._began = time.monotonic()
        self.folder, self._bucket = folder, bucket
        (folder / "shared").mkdir()
        (folder / "hosts").write_text(hosts())
        _do(f"mount --bind {folder}/hosts /etc/hosts")
        self.switch = Switch()
        self.machines = {name: Machine(number, folder, shares=not bucket) for number, name in enumerate(NAMES)}
        self.head = self.machines["head"]
        for machine in self.machines.values():
            self.switch.plug_in(machine)

    def __enter__(self) -> "Trial":
        return self

    def __exit__(self, *_: object) -> None:
        for machine in self.machines.values():
            machine.end()

    def run(self, runs: int, silence: float) -> dict[str, Any]:
        """Bring all up, and try what README promises."""
        steps = [step(name) for name in STEPS if name != "bucket" or self._bucket]
        skipped = [block.splitlines()[0] for block in blocks() if block not in steps]
        self._bring_up()
        up = self._seconds()
        short = [self.store.submit(SHORT, seed, f"short {seed}") for seed in range(runs)]
        self._until(lambda: self._says_places(len(self.machines)))
        capacity = self._capacity()
        self._until(lambda: all(self._ended(run) for run in short))
        document = {
            "machines": list(self.machines),
            "not_tried": [*skipped, INSTALL],
            "up_s": up,
            "capacity": capacity,
            "short_runs_s": self._seconds() - up,
            "runs": Counter(self._worked_on(run)[-1] for run in short),
            "states": Counter(str(self._run(run).state) for run in short),
        }
        second = min(self.store.history(run)[0].epochs[-1].seconds for run in short)
        self._long = _experiment(max(LEAST_EPOCHS, round((silence + SECONDS_TO_SPARE) / second)))
        self._undisturbed = self._train("undisturbed")
        self._until(lambda: self._ended(self._undisturbed))
        tried: dict[str, Callable[[], Any]] = {
            "refused": self._refused,
            "pulled": self._pulled,
            "silent_database": lambda: self._silent_database(silence),
            "head_pulled": lambda: self._head_pulled(silence),
        }
        for name, what in tried.items():
            print(json.dumps(document, indent=2), file=sys.stderr)  # it takes long
            document[name] = what()
        return document | {"seconds": self._seconds()}

    def _bring_up(self) -> None:
        password = secrets.token_hex(12)
        self.head.run(step("certificates"))
        for machine in self.machines.values():
            for name in ("authority.pem", "certificate.pem", "key.pem"):
                _keep(machine.path(CERTIFICATES / name), self.head.path(ROOT / name).read_text())
            for secret in ("password", "bucket"):
                _keep(machine.path(f"/home/lab/.transfer-lab-{secret}"), password)
            machine.path(ROOT / "lab.env").write_text(self._settings())
        self.head.run(step("database").replace(INSTALL, INSTALLED), input=f"{password}\n{password}\n")
        if self._bucket:
            self.head.start(BUCKET, "bucket")
            self.head.run(f"source lab.env; until {NEW_BUCKET}; do sleep 1; done")
        source, scheduler, app = step("head").splitlines()
        self.head.start(f"{source}\n{scheduler}", "scheduler")
        self.head.start(f"{source}\n{app}", "app")
        for machine in self.machines.values():
            machine.start(step("machine"), "machine")
        told = dict(line.split("=", 1) for line in self.head.run("source lab.env; env").splitlines())
        for name in filter(re.compile("AWS|PGPASS|TRANSFER_LAB_(STORE|ARTIFACTS)").match, told):
            os.environ[name] = told[name].replace(f"{CERTIFICATES}", f"{self.head.path(CERTIFICATES)}")
        self.store = Store(self.folder / "shared")

    def _settings(self) -> str:
        """What all programs read."""
        settings = step("settings")
        return step("bucket") + settings.partition("\n")[2] if self._bucket else settings

    def _refused(self) -> dict[str, str]:
        """What strangers on the network are told, a line each."""
        own = "openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=stranger -keyout own-key.pem -out own.pem 2> own.log"
        shake_hands = f"sleep 2 | openssl s_client -connect head:8786 -CAfile {CERTIFICATES}/authority.pem"
        runs = ".venv/bin/python -m cifar_core runs"
        plain = "import distributed; distributed.Client('tcp://head:8786', timeout=5)"
        asked = {
            "scheduler, without encryption": f'unset ${{!DASK_*}}; .venv/bin/python -c "{plain}"',
            "scheduler, without certificate": shake_hands,
            "scheduler, certificate of another authority": f"{own}; {shake_hands} -cert own.pem -key own-key.pem",
            "database, without encryption": f"TRANSFER_LAB_STORE=${{TRANSFER_LAB_STORE/verify-ca/disable}} {runs}",
            "database, wrong password": f"PGPASSWORD=wrong {runs}",
        }
        stranger = self.machines[NAMES[-1]]
        told = {who: stranger.run(f"source lab.env; {how}", check=False) for who, how in asked.items()}
        return {who: next(filter(REFUSAL.search, said.splitlines()), said[-500:]) for who, said in told.items()}

    def _pulled(self) -> dict[str, Any]:
        run = self._train("on a machine that is lost")
        lost, shown = self.machines[self._worked_on(run)[-1]], self._measured(run)
        self.switch.pull(lost)
        noticed = self._until(lambda: self._ended(run), 60)
        found = self._run(run)
        self._until(lambda: self._says_places(len(self.machines) - 1), 60)
        capacity = self._capacity()
        self._resume(run)
        sessions = self._until(lambda: not self._sessions(lost), 60)
        self.switch.connect(lost)
        joined = self._until(lambda: self._says_places(len(self.machines)))
        return {
            "machine": lost.name,
            "noticed_s": noticed,
            "capacity": capacity,
            "sessions_dropped": sessions is not None,
            "joined_again_s": joined,
            **self._outcome(run, shown, found),
        }

    def _sessions(self, machine: Machine) -> int:
        """How many of a machine's sessions the database keeps."""
        count = f"SELECT count(*) FROM pg_stat_activity WHERE client_addr = '{machine.address}'"
        return int(self.head.run(f'cd /; runuser -u postgres -- psql -Atc "{count}"'))

    def _silent_database(self, seconds: float) -> dict[str, Any]:
        run = self._train("while the database is silent")
        shown = self._measured(run)
        # Whatever comes from its port or goes there is dropped, between two programs of the head, too.
        ports = ("pref 10 sport 5432 blackhole", "pref 11 dport 5432 blackhole")
        silent = ["add pref 20 table local", "del pref 0", *(f"add {port}" for port in ports)]
        speaks = [*(f"del {port}" for port in ports), "add pref 0 table local", "del pref 20"]
        self.head.run("\n".join(f"ip rule {rule}" for rule in silent))
        time.sleep(seconds)
        self.head.run("\n".join(f"ip rule {rule}" for rule in speaks))
        measured = self._until(lambda: len(self._measured(run)) > len(shown) or self._ended(run))
        self._until(lambda: self._ended(run))
        found = self._run(run)
        self._resume(run)
        return {"measured_again_s": measured} | self._outcome(run, shown, found)

    def _head_pulled(self, seconds: float) -> dict[str, Any]:
        run = self._train("while the head is away")
        shown = self._measured(run)
        self.switch.pull(self.head)
        time.sleep(seconds)
        self.switch.connect(self.head)
        self._until(lambda: self._ended(run))
        found = self._run(run)
        self._resume(run)
        joined = self._until(lambda: self._says_places(len(self.machines)))
        return {"joined_again_s": joined} | self._outcome(run, shown, found)

    def _outcome(self, run: str, shown: Measured, found: Run) -> dict[str, Any]:
        """How a run fared of which so much was shown when it was disturbed, and that was then found so."""
        measured = self._measured(run)
        return {
            "found": str(found.state),
            "said": found.reason,
            "ended": str(self._run(run).state),
            "worked_on": self._worked_on(run),
            "lost_epochs": sum(measured.get(place) != row for place, row in shown.items()),
            "as_undisturbed": measured == self._measured(self._undisturbed),
        }

    def _train(self, name: str) -> str:
        """Begin a long run, and return it when it trains on another machine than the head."""
        run = self.store.submit(self._long, 0, name)
        self._until(lambda: len(self._measured(run)) >= 3 and bool(self._worked_on(run)))
        if self._worked_on(run)[-1] != self.head.name:
            return run
        another = self._train(name)  # beside it, while the head is busy
        self.store.request_stop(run)
        self._until(lambda: self._ended(run))
        return another

    def _resume(self, run: str) -> None:
        if self._run(run).state.can_go_on:
            self.store.resume(run)
        self._until(lambda: self._ended(run))

    def _run(self, run: str) -> Run:
        return Patience()(self.store.run, run)

    def _ended(self, run: str) -> bool:
        return self._run(run).state.is_finished

    def _measured(self, run: str) -> Measured:
        return {
            (phase.index, row.epoch): (row.loss, row.accuracy, row.val_loss, row.val_accuracy)
            for phase in Patience()(self.store.history, run)
            for row in phase.epochs
        }

    def _worked_on(self, run: str) -> list[str]:
        """The machines whose workers began or went on with a run."""
        path = self.store.files.path(run, events.FILE)
        lines = path.read_text().splitlines() if path.exists() else []  # on its way to the bucket
        return [event["computer"] for event in map(json.loads, lines) if event["event"] == "started"]

    def _says_places(self, places: int) -> bool:
        return f" of {places} places" in self._capacity()

    def _capacity(self) -> str:
        """What the Live page says about the machines, to a visitor."""
        return asyncio.run(
            _read(f"ws://{self.head.name}:8501/_stcore/stream", "Live", r"\d+ of \d+ places busy: .*|.*cluster.*")
        )

    def _until(self, condition: Callable[[], bool], seconds: float = PATIENCE_SECONDS) -> float | None:
        """Wait until it is so, and return how long that took, or None where it never was."""
        began = time.monotonic()
        while not condition():
            if time.monotonic() - began > seconds:
                return None
            time.sleep(SECONDS_BETWEEN_LOOKS)
        return round(time.monotonic() - began, 1)

    def _seconds(self) -> int:
        return round(time.monotonic() - self._began)


async def _read(url: str, page: str, wanted: str) -> str:
    """The first words on a page of the app that match, or "" where it does not come or has none."""
    try:
        async with asyncio.timeout(20), connect(url, subprotocols=["streamlit"], max_size=None) as socket:  # type: ignore[list-item]
            opening = BackMsg()
            opening.rerun_script.page_name = page
            await socket.send(opening.SerializeToString())
            async for frame in socket:
                assert isinstance(frame, bytes)
                message = ForwardMsg.FromString(frame)
                if found := re.search(wanted, message.delta.new_element.markdown.body.replace("\\", "")):
                    return found[0]
                if message.WhichOneof("type") == "script_finished":
                    return ""
    except (OSError, TimeoutError):
        return ""  # it starts, or cannot be reached
    return ""


def hosts() -> str:
    """What `/etc/hosts` says on each machine."""
    return "\n".join(["127.0.0.1 localhost", *(f"{_address(number)} {name}" for number, name in enumerate(NAMES))])


def _address(number: int) -> str:
    return f"{NETWORK}.{10 + number}"


def _keep(file: Path, text: str) -> None:
    """Write a file that only its owner can read."""
    file.touch(mode=0o600)
    file.write_text(text)


def _end_with_input() -> None:
    """End this process, and with it all machines, when the one that reads the arguments has ended."""
    sys.stdin.read()
    os._exit(1)


def _do(commands: str) -> None:
    subprocess.run(["sh", "-e", "-c", commands], check=True)


def _left(folder: str) -> int:
    """How many processes know of the trial in a folder."""
    count = 0
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            count += process.environ().get(_FOLDER) == folder
    return count


if __name__ == "__main__":
    main()
