"""Whether a relative path, which means a place of this machine, means the same one on the cluster.

A lab's home folders are often there on all its machines, and then ``--results results`` works as everybody expects. Where they are
not, a job would leave its results in a folder of the head that nobody looks for: it is refused instead.
"""

from __future__ import annotations

import hashlib
import os
import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path

from trainables.errors import Faults, UserError

_SIGN = ".place-"


def mark(relative: Mapping[str, Path]) -> list[str]:
    """Note what only these very places can show.

    Args:
        relative: Absolute paths of this machine, by option. A folder that is not there is made.

    Returns:
        What :func:`check_places` understands: ``option=path=digest`` of a file, ``option=path=sign`` of a folder. The sign is an
        empty file in it, of a name that was drawn once, and stays there.

    Raises:
        UserError: A folder cannot be written to.
    """
    places = []
    for option, path in relative.items():
        try:
            places.append(f"{option}={path}={_digest(path) if path.is_file() else _sign(path)}")
        except OSError as error:
            raise UserError(f"{option} {path}: {error.strerror}; give a folder that can be written to") from error
    return places


def check_places(places: Iterable[str]) -> None:
    """On the cluster: look for what :func:`mark` left.

    Raises:
        UserError: Some path is another place here.
    """
    faults = Faults("the paths of the command, as the cluster sees them")
    for place in places:
        option, _, rest = place.partition("=")
        path, _, proof = rest.rpartition("=")
        if not _shows(Path(path), proof):
            faults.add(
                f"{option} {path}: this is a path of the machine that the sweep was submitted from, and {os.uname().nodename} "
                f"does not see the same there; give an absolute path of the cluster{', or s3://...' * (option == '--store')}"
            )
    faults.raise_if_any()


def _shows(path: Path, proof: str) -> bool:
    if proof.startswith(_SIGN):
        return (path / proof).exists()
    return path.is_file() and _digest(path) == proof


def _sign(folder: Path) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    signs = sorted(file.name for file in folder.glob(f"{_SIGN}*"))
    if not signs:  # two submitters may each leave one: either will be found
        signs = [f"{_SIGN}{uuid.uuid4().hex}"]
        (folder / signs[0]).touch()
    return signs[0]


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()[:16]
