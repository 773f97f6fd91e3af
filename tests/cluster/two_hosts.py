"""One row of a table, whose pretraining has as many workers as asked; :mod:`tests.cluster.test_multi_node` runs it on a head.

python -m tests.cluster.two_hosts CORPORA RESULTS WORKERS ADDRESS
"""

import dataclasses
import sys
from pathlib import Path

from orchestrator.checks import Options
from orchestrator.execution.environment import set_environment
from orchestrator.execution.resources import ResourceRequest
from search_spaces.scale import SCALES
from tests.planned import plan_for

EPOCHS = 100
"""Of pretraining: seconds, so that there is time to lose a host in."""
_CHECKPOINT_SECONDS = 0.5


def main(corpora: str, results: Path, workers: int, address: str) -> None:
    """Run the row, and print how it ended."""
    SCALES["smoke"].overlay["ContrastivePretraining"].update(epochs=EPOCHS)
    results.mkdir(exist_ok=True)
    plan = plan_for(Options("reclr_lambda", corpora=corpora, scale="smoke", seeds=1, results=results))
    setting = plan.setting.model_copy(update={"checkpoint_seconds": _CHECKPOINT_SECONDS})
    trials = tuple(trial for trial in plan.trials if trial.record.row == "simclr")
    plan = dataclasses.replace(plan, trials=trials, setting=setting)
    set_environment(address)
    from orchestrator.execution.cluster import joined
    from orchestrator.execution.ray_sweep import RaySweep

    with joined(address, {}):
        print(RaySweep(plan, ResourceRequest(workers, 1, 0.0), f"sqlite:///{results}/mlflow.db", results / "artifacts").run())


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
