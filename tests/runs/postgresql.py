"""A PostgreSQL server of the tests' own, thrown away afterwards. Over TCP it takes encrypted connections, too."""

import os
import pwd
import secrets
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import psycopg
import trustme

from tests.runs.helpers import wait_for

PASSWORD = "a secret for tests"

# Ends the server, at once, with the input: also when the tests were killed.
_LEASH = ("sh", "-c", '"$@" & read -r _; kill -QUIT $!; wait', "leash")


@dataclass(frozen=True)
class Server:
    """One that runs: on a socket in `folder` it trusts everybody, on 127.0.0.1 it wants PASSWORD."""

    folder: Path
    port: int

    def connect(self) -> psycopg.Connection[tuple[Any, ...]]:
        """Connect as the database's master; each statement is its own transaction."""
        return psycopg.connect(host=str(self.folder), port=self.port, user="postgres", autocommit=True)

    def processes(self) -> list[psutil.Process]:
        """The server's own, one for each connection included."""
        first = psutil.Process(int((self.folder / "data" / "postmaster.pid").read_text().split()[0]))
        return [first, *first.children()]

    def new_store(self) -> str:
        """Make room for one store, and return its address."""
        schema = f"store_{secrets.token_hex(6)}"
        with self.connect() as connection:
            connection.execute(f"CREATE SCHEMA {schema}")
        return (
            f"postgresql+psycopg://postgres@/postgres?host={self.folder}&port={self.port}"
            f"&options=-csearch_path%3D{schema}"
        )


def programs() -> Path | None:
    """Where PostgreSQL's programs are, or None."""
    if found := shutil.which("initdb"):
        return Path(found).resolve().parent
    installed = Path("/usr/lib/postgresql").glob("*/bin/initdb")  # Debian keeps them out of the path
    return max((path.parent for path in installed), key=lambda path: float(path.parent.name), default=None)


@contextmanager
def running(bin: Path) -> Iterator[Server]:
    """Run a server until the end of the block."""
    with tempfile.TemporaryDirectory(prefix="pg-") as name:
        folder = Path(name)
        (folder / "password").write_text(PASSWORD)
        someone_else: dict[str, Any] = {}
        if os.geteuid() == 0:  # as which PostgreSQL refuses to run
            account = pwd.getpwnam("postgres")
            someone_else = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
            for path in (folder, folder / "password"):
                os.chown(path, account.pw_uid, account.pw_gid)
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        own = folder / "own.pem"
        trustme.CA().issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(own)
        own.chmod(0o600)
        if someone_else:
            os.chown(own, someone_else["user"], someone_else["group"])
        methods = ("--auth-local=trust", "--auth-host=scram-sha-256", f"--pwfile={folder / 'password'}")
        initdb = [
            str(bin / "initdb"),
            "-D",
            str(folder / "data"),
            "-U",
            "postgres",
            "-E",
            "UTF8",
            "--no-sync",
            *methods,
        ]
        subprocess.run(initdb, check=True, capture_output=True, cwd=folder, **someone_else)
        encryption = ("-c", "ssl=on", "-c", f"ssl_cert_file={own}", "-c", f"ssl_key_file={own}")
        options = ("-F", "-p", str(port), "-k", str(folder), "-c", "listen_addresses=127.0.0.1", *encryption)
        with (folder / "log.txt").open("wb") as log:
            process = subprocess.Popen(
                [*_LEASH, bin / "postgres", "-D", folder / "data", *options],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                cwd=folder,
                start_new_session=True,
                **someone_else,
            )
        try:
            server = Server(folder, port)
            wait_for(lambda: _answers(server), "PostgreSQL")
            yield server
        finally:
            process.communicate(timeout=20)


def _answers(server: Server) -> bool:
    try:
        server.connect().close()
    except psycopg.OperationalError:
        return False
    return True
