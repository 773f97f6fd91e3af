"""Ray's environment variables. Ray reads some of them when it is imported, so this module imports no Ray and is called before."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

WORKER_ENVIRONMENT = {
    # Workers of a Train group are polled this often; the default of 2 s costs 4 s per stage.
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.2",
    # The ledger admits what fits, but free CPUs may be scattered for a while, or the autoscaler's nodes still to come: workers wait
    # for their room, a day if need be, and Ray's demand for it stays visible to the autoscaler.
    "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "86400",
}
"""What trials and their workers need, on whatever node they run."""

_DEFAULTS = WORKER_ENVIRONMENT | {
    "RAY_USAGE_STATS_ENABLED": "0",  # nothing leaves the cluster
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # a task without GPUs sees none; silences the warning about the coming default
    "RAY_AIR_NEW_OUTPUT": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # MLflow has the curves
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # the sweep stops cleanly itself: Tune's handler returns as if all were well
}


def set_environment(address: str | None) -> None:
    """Set what the user has not set.

    Args:
        address: Of the cluster to join, or None for one that is started on this machine.
    """
    for name, value in _DEFAULTS.items():
        os.environ.setdefault(name, value)
    if "RAY_AUTH_MODE" in os.environ:
        return
    if address is None:
        # Ray's own ports listen on every interface: the cluster takes work only from who holds this token.
        os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    elif {"RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"} & os.environ.keys() or (Path.home() / ".ray" / "auth_token").exists():
        os.environ["RAY_AUTH_MODE"] = "token"  # Ray's clients do not look for the token unless told to
