"""What holds for all tests.

Git is out of sight, so that they say the same whether or not the checkout has uncommitted files. And no test fails for being slow:
the first example that hypothesis tries pays for the imports.
"""

import gc
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

os.environ["GIT_DIR"] = os.devnull
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


@pytest.fixture(scope="session", autouse=True)
def _collected_when_due() -> Iterator[None]:
    """Looking for garbage takes half a second in a process with all imports: they are left out of it, it is looked for less often,
    and not because statsmodels asks for it at every correction of p-values.
    """
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gc, "collect", lambda *generation: 0)
        yield


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MLflow's tables without a row: making them takes it seconds, so tests that are about something else copy them."""
    from orchestrator.tracking.store import Store

    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    Store(f"sqlite:///{path}").experiments()
    return path
