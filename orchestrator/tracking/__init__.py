"""MLflow: one writer for a sweep, and the read side that the tables use.

What lies where
    experiment of the study   sweep > cell (one per row of the table) > trial (one per seed), nested by ``mlflow.parentRunId``
    experiment ``stages``     one run per stage execution, tagged with its fingerprint, however many trials share it

Everything is keyed by tags (``sweep``, ``kind``, ``row``, ``seed``, ``fingerprint``), so that writing again changes nothing
and a killed sweep finds its runs. Ids, settings, numbers and pictures of numbers are logged; never audio, transcripts or a
participant's scores.

``store`` alone imports mlflow, and only when a store is opened. ``sweep_runs``, ``stages`` and ``points`` say what is written, one
call after the other; ``tracker`` takes it from the sweep without keeping it waiting, and ``lanes`` does it, again where MLflow was
away.
"""

from orchestrator.tracking.reading import read_sweep, studies, study_page
from orchestrator.tracking.store import default_artifacts, default_uri
from orchestrator.tracking.tracker import Tracker

__all__ = ["Tracker", "default_artifacts", "default_uri", "read_sweep", "studies", "study_page"]
