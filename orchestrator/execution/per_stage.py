"""Reading ``--per-stage 'ContrastivePretraining.workers=4'``: other resources for one class of stages."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Mapping
from dataclasses import replace

from orchestrator.execution.resources import StageRequest
from trainables.stage import Stage

_KINDS = {"workers": int, "cpus": int, "gpus": float}
_LEAST = {"workers": 1, "cpus": 1, "gpus": 0}


def read_per_stage(texts: Iterable[str]) -> tuple[dict[str, StageRequest], tuple[str, ...]]:
    """What is asked for each class of stages, and what is wrong with how it was written.

    Args:
        texts: Each ``Class.setting=number``, the setting being ``workers``, ``cpus`` or ``gpus``; the last of two alike counts.
    """
    found: dict[str, StageRequest] = {}
    faults = []
    for text in texts:
        place, equals, value = (part.strip() for part in text.partition("="))
        name, _, setting = place.rpartition(".")
        if not equals or not name:
            faults.append(f"--per-stage {text!r}: expected a stage, a setting and a number, as 'ContrastivePretraining.workers=4'")
        elif setting not in _KINDS:
            known = ", ".join(_KINDS)
            faults.append(f"--per-stage {text!r}: there is no setting {setting!r}{_meant(setting, _KINDS)}; known are {known}")
        elif (number := _number(setting, value)) is None:
            whole = "a number" if _KINDS[setting] is float else "a whole number"
            faults.append(f"--per-stage {text!r}: {setting} is {whole} of at least {_LEAST[setting]}, not {value!r}")
        else:
            found[name] = replace(found.get(name, StageRequest()), **{setting: number})
    return found, tuple(faults)


def naming_faults(asked: Mapping[str, StageRequest], stages: Iterable[Stage]) -> list[str]:
    """What is asked for stages that the study has not, or that cannot make use of it.

    Args:
        asked: What :func:`read_per_stage` found.
        stages: At least one of each class that the command runs.
    """
    classes = {type(stage).__name__: type(stage) for stage in stages}
    faults = []
    for name, request in asked.items():
        if name not in classes:
            known = ", ".join(sorted(classes))
            faults.append(f"--per-stage {name}: the study has no such stage{_meant(name, classes)}; it has {known}")
            continue
        if (request.workers or 1) > 1 and not classes[name].data_parallel:
            faults.append(f"--per-stage {name}.workers={request.workers}: {name} runs on one worker; leave it out")
        if request.gpus and not classes[name].accelerated:
            faults.append(f"--per-stage {name}.gpus={request.gpus:g}: {name} makes no use of a GPU; leave it out")
    return faults


def _number(setting: str, value: str) -> float | None:
    try:
        number = _KINDS[setting](value)
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= _LEAST[setting] else None


def _meant(name: str, known: Iterable[str]) -> str:
    lower = {each.lower(): each for each in known}
    close = difflib.get_close_matches(name.lower(), lower, 1)
    return f"; did you mean {lower[close[0]]!r}?" if close else ""
