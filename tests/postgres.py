"""A real PostgreSQL server on the loopback interface, for as long as a test needs it."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PASSWORD = "Wombat-in-PostgreSQL"


def missing() -> str | None:
    """Why there can be no server here; None if there can."""
    if not (shutil.which("initdb") and shutil.which("postgres")):
        return "PostgreSQL's initdb and postgres are not on the PATH"
    return None if os.getuid() or _unprivileged() else "PostgreSQL refuses to run as root, and there is no other user"


@contextmanager
def postgres() -> Iterator[str]:
    """Address of an empty database, password included; the server ends and its files go with the block."""
    home = Path(tempfile.mkdtemp(prefix="postgres-"))
    secret = home / "password"
    secret.write_text(PASSWORD)
    who = {"user": _unprivileged()} if os.getuid() == 0 else {}
    if who:
        for path in (home, secret):
            shutil.chown(path, who["user"])
    port = free_port()
    auth = ["--username", "lab", "--pwfile", str(secret), "--auth", "scram-sha-256"]
    try:
        subprocess.run(["initdb", "--no-sync", *auth, home / "data"], check=True, capture_output=True, cwd=home, **who)
        options = ["-D", home / "data", "-h", "127.0.0.1", "-p", str(port), "-k", home, "-F"]
        with (home / "log").open("w") as log:
            server = subprocess.Popen(["postgres", *options], stdout=log, stderr=log, cwd=home, **who)
        try:
            _wait_for(port, server)
            yield f"postgresql+psycopg2://lab:{PASSWORD}@127.0.0.1:{port}/postgres"
        finally:
            server.terminate()  # "smart": it waits for clients that never leave
            server.send_signal(2)  # "fast": it does not
            server.wait(60)
    finally:
        shutil.rmtree(home)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _wait_for(port: int, server: subprocess.Popen) -> None:
    import psycopg2

    deadline = time.monotonic() + 60
    while True:
        try:
            psycopg2.connect(host="127.0.0.1", port=port, user="lab", password=PASSWORD, dbname="postgres").close()
            return
        except psycopg2.OperationalError:
            if time.monotonic() > deadline or server.poll() is not None:
                raise
            time.sleep(0.1)


def _unprivileged() -> str | None:
    names = {entry.pw_name for entry in pwd.getpwall() if entry.pw_uid}
    return next((name for name in ("postgres", "nobody") if name in names), None)
