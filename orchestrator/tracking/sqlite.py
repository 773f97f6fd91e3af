"""MLflow stores that are a sqlite file: which they are, and how they are written."""

from __future__ import annotations

import sqlite3
from functools import cache
from pathlib import Path
from typing import Any


def sqlite_file(uri: str) -> Path | None:
    """The file of a sqlite store."""
    return Path(uri.removeprefix("sqlite:///")) if uri.startswith("sqlite:///") else None


@cache
def wait_less_for_disks() -> None:
    """Have every sqlite file that this process opens wait for its disk less often.

    MLflow makes a dozen transactions for each run, and sqlite waits for the disk several times in each. A process may be killed at
    any moment all the same. A power cut has, by sqlite's manual, a very small chance to damage the file, on old file systems;
    what it holds of a sweep can be delivered again from the sweep's own store.
    """
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    @event.listens_for(Engine, "connect")
    def connected(connection: Any, record: Any) -> None:
        if isinstance(connection, sqlite3.Connection):
            connection.execute("PRAGMA synchronous = NORMAL")
