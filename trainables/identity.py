"""Every rule of a stage's identity, in one place.

The **fingerprint** of a stage is a readable part (its settings that differ from the paper's) and a hash of everything that can
change its result: class, version, every setting with its type, the digests of its corpora and the fingerprints of its upstream
stages. Two stages with one fingerprint are the same computation, so the second one is never run.

>>> # ContrastivePretraining/objective=reclr,lambda_=0.4-1f3a9c20b7d4
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from pydantic_core import PydanticUndefined

from trainables.errors import UserError
from trainables.protocols import Protocol
from trainables.stage import Stage

NOT_PART_OF_IDENTITY = {
    "workers": "batches, losses and gradients of N workers equal those of one worker with the whole batch",
    "device": "the same computation; rounding differs, as it does between two CPUs",
    "threads": "the same computation; rounding differs",
    "store": "where a result lies does not change it",
    "root": "where a corpus lies does not change it; its digest is part of the identity",
    "tracking_uri": "logging reads results and never writes them",
    "resources": "what Ray reserves decides when a stage runs, not what it computes",
    "checkpoint_seconds": "a resumed stage gives the same bytes as one that never stopped",
}
"""What is left out on purpose, and why. No stage may have a setting of such a name (a test keeps that)."""

_HASH_DIGITS = (
    12  # 48 bits: a collision among a million results of one class has probability 0.002, and is then refused, not reused.
)
_READABLE_LENGTH = 60


def identity_of(stage: Stage, digests: Mapping[str, str], known: dict[Stage, str] | None = None) -> dict[str, Any]:
    """What is hashed: a JSON-able, type-tagged account of everything that can change the stage's result.

    Args:
        stage: The stage.
        digests: Digest of the corpus that plays each role, and of pretrained weights under :func:`weights_key`.
        known: Fingerprints with these digests, to look up and to add to: long chains share most of their stages.
    """
    missing = [role for role in stage.roles().values() if role not in digests]
    if missing:
        raise UserError(f"{type(stage).__name__} reads the corpus role {missing[0]!r}, which corpora.toml does not give")
    pretrained = {field: digests[weights_key(name)] for field, name in sorted(stage.pretrained().items())}
    settings = {name: value for name, value in sorted(stage.settings().items()) if name not in stage.shortcuts}
    settings = {name: value for name, value in settings.items() if name not in stage.later or value != stage.later[name]}
    upstream = {name: above for name, above in sorted(stage.upstream().items()) if name.split(".")[0] not in stage.shortcuts}
    return {
        "stage": type(stage).__name__,
        "version": type(stage).version,
        "settings": {name: _tagged(value, name) for name, value in settings.items()},
        "corpora": {field: digests[role] for field, role in sorted(stage.roles().items())},
        **({"pretrained": pretrained} if pretrained else {}),
        "upstream": {field: fingerprint(above, digests, known) for field, above in upstream.items()},
    }


def weights_key(name: str) -> str:
    """Under which the digest of pretrained weights stands among the digests; no corpus role has such a name."""
    return f"weights of {name}"


def fingerprint(stage: Stage, digests: Mapping[str, str], known: dict[Stage, str] | None = None) -> str:
    """The stage's identity as one string that is also a folder: ``Class/readable-hash``. Arguments as of :func:`identity_of`."""
    if known is not None and stage in known:
        return known[stage]
    canonical = json.dumps(identity_of(stage, digests, known), sort_keys=True, separators=(",", ":"))
    tail = hashlib.sha256(canonical.encode()).hexdigest()[:_HASH_DIGITS]
    readable = _readable(stage)
    name = f"{type(stage).__name__}/{readable}-{tail}" if readable else f"{type(stage).__name__}/{tail}"
    if known is not None:
        known[stage] = name
    return name


def differences(expected: Any, found: Any, path: str = "") -> list[str]:
    """Readable lines, one for each place in which two identities differ."""
    if isinstance(expected, Mapping) and isinstance(found, Mapping):
        names = sorted(expected.keys() | found.keys())
        return [line for n in names for line in differences(expected.get(n), found.get(n), f"{path}.{n}" if path else n)]
    return [] if expected == found else [f"{path}: expected {expected!r}, found {found!r}"]


def _tagged(value: Any, name: str) -> Any:
    """Give a setting its type, so that 1, 1.0, True and '1' are four identities.

    Raises:
        TypeError: A setting of a type whose identity is not defined (a bug of the stage's author).
    """
    if value is None:
        return "none"
    for kind in (bool, int, float, str):  # bool first: it is an int to Python
        if isinstance(value, kind):
            return f"{kind.__name__}:{value!r}"
    if isinstance(value, tuple):
        return ["tuple", *(_tagged(item, name) for item in value)]
    if isinstance(value, Protocol):
        return f"protocol:{value.digest}"
    known = "a bool, int, float, str, None, a tuple of these, or a protocol"
    raise TypeError(f"setting {name!r} is a {type(value).__name__}; a setting is {known}")


def _readable(stage: Stage) -> str:
    parts = []
    for name, value in stage.settings().items():
        default = type(stage).model_fields[name].default
        if default is PydanticUndefined or value != default:
            parts.append(f"{name}={value.digest if isinstance(value, Protocol) else value}")
    return re.sub(r"[^A-Za-z0-9=.,_-]+", "_", ",".join(parts))[:_READABLE_LENGTH].rstrip(",._-")
