"""The only file of the project that imports mlflow: a thin store with what the tracker and the tables need.

mlflow is imported when a store is opened, not with this module: it costs a second.
"""

from __future__ import annotations

import gc
import logging
import os
import re
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import zip_longest
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from orchestrator.records import Point, Scalar, Status
from orchestrator.tracking.credentials import public_address, without_secrets
from orchestrator.tracking.sqlite import sqlite_file, wait_less_for_disks

if TYPE_CHECKING:
    from mlflow.entities import Run

RUNS_PAGE = "#/experiments/{experiment}/runs?workflowType=machine_learning"
"""Path of an experiment's runs in MLflow's UI; without the last part the UI shows its pages for language models."""

TAG_LENGTH = 8000  # this and the next are MLflow's own limits; of a call they are 1000 entries, 100 of them params and 100 tags
_PARAM_LENGTH = 6000
_METRICS_A_CALL = 800
_PAIRS_A_CALL = 100
_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # two lines for every run that ends
    # MLflow would send a request again whose answer was lost: there would be two runs. Whoever calls looks first, then tries again.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
}
_PORTS = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}
_KNOCK_SECONDS = 10.0
_REFUSALS = (
    {"INVALID_PARAMETER_VALUE", "BAD_REQUEST", "INVALID_STATE", "NOT_IMPLEMENTED", "PERMISSION_DENIED", "UNAUTHENTICATED"}
    | {"CUSTOMER_UNAUTHORIZED", "RESOURCE_ALREADY_EXISTS", "RESOURCE_DOES_NOT_EXIST", "ENDPOINT_NOT_FOUND"}
)  # fmt: skip
_log = logging.getLogger(__name__)


def default_uri(results: Path) -> str:
    """``MLFLOW_TRACKING_URI`` if set, else a sqlite store beside the results."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{results.resolve() / 'mlflow.db'}"


def default_artifacts(uri: str, results: Path) -> Path | None:
    """Where the artifacts of a local store lie; None for a server, which has its own place."""
    return results.resolve() / "mlflow-artifacts" if uri.startswith("sqlite:") else None


class Store:
    """One MLflow tracking store. Every method may raise whatever MLflow raises."""

    def __init__(self, uri: str, artifacts: Path | None = None) -> None:
        for name, value in _ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)  # its retries; whoever gives up says so once
        from mlflow import MlflowClient

        self.uri = without_secrets(uri)
        self._artifacts = artifacts
        self._keeps_artifacts = True
        file = sqlite_file(uri)
        if file is not None:
            file.parent.mkdir(parents=True, exist_ok=True)
            wait_less_for_disks()
        _knock(uri)
        self._client = MlflowClient(tracking_uri=uri)

    def find_experiment(self, name: str) -> str | None:
        """Id of the experiment of this name, if there is one."""
        experiment = self._client.get_experiment_by_name(name)
        return experiment.experiment_id if experiment else None

    def experiments(self, condition: str | None = None) -> list[str]:
        """Names of the experiments that meet MLflow's filter ``condition``."""
        return [experiment.name for experiment in self._client.search_experiments(filter_string=condition)]

    def experiment(self, name: str, kind: str, note: str) -> str:
        """Id of the experiment of this name, made if there is none; ``{experiment}`` in its description stands for the id."""
        from mlflow.exceptions import MlflowException

        found = self.find_experiment(name)
        if found is not None:
            return found
        location = f"{self._artifacts.resolve().as_uri()}/{name}" if self._artifacts else None
        # Without the second tag the UI asks whether this is about language models.
        tags = {"kind": kind, "mlflow.experimentKind": "custom_model_development"}
        try:
            made = self._client.create_experiment(name, artifact_location=location, tags=tags)
        except MlflowException:
            found = self.find_experiment(name)  # another sweep made it a moment ago
            if found is None:
                raise
            return found
        self._client.set_experiment_tag(made, "mlflow.note.content", note.replace("{experiment}", made))
        return made

    def search(self, experiment: str, condition: str) -> list[Run]:
        """All runs of an experiment id that meet MLflow's filter ``condition``, the newest first."""
        runs: list[Run] = []
        token = None
        with _nothing_collected():
            while True:
                page = self._client.search_runs([experiment], condition, max_results=1000, page_token=token)
                runs += page
                token = page.token
                if not token:
                    return runs

    def get(self, run_id: str) -> Run:
        """A run as it is now."""
        return self._client.get_run(run_id)

    def holds(self, experiment: str, condition: str) -> bool:
        """Whether an experiment id has any run that meets MLflow's filter ``condition``."""
        return bool(self._client.search_runs([experiment], condition, max_results=1))

    def open(
        self,
        experiment: str,
        run: Run | None,
        name: str,
        params: Mapping[str, Scalar],
        tags: Mapping[str, str],
        start: int,
        metrics: Sequence[Point] = (),
    ) -> str:
        """Make a run that starts at ``start`` (ms), or set ``run`` to RUNNING again; returns its id. Adds what it lacks, and
        ``metrics`` in the same call to MLflow, each of which costs several transactions.
        """
        if run is None:
            # With its tags at once: a run without them, left by a process killed in between, would never be found again.
            texts = {_name(key): value[:TAG_LENGTH] for key, value in tags.items()}
            run = self._client.create_run(experiment, start_time=start, tags=texts, run_name=name)
        elif run.info.status != "RUNNING":
            self._client.update_run(run.info.run_id, status="RUNNING")
        missing = {key: value for key, value in params.items() if _name(key) not in run.data.params}  # a param cannot change
        changed = {key: value for key, value in tags.items() if run.data.tags.get(_name(key)) != value[:TAG_LENGTH]}
        self.write(run.info.run_id, metrics, params=missing, tags=changed)
        return run.info.run_id

    def write(
        self,
        run_id: str,
        metrics: Sequence[Point] = (),
        params: Mapping[str, Scalar] | None = None,
        tags: Mapping[str, Scalar] | None = None,
    ) -> None:
        """Add any number of metrics, params and tags. A point that is there already is not doubled (MLflow's own key)."""
        from mlflow.entities import Metric, Param, RunTag

        param_list = [Param(_name(key), str(value)[:_PARAM_LENGTH]) for key, value in (params or {}).items()]
        tag_list = [RunTag(_name(key), str(value)[:TAG_LENGTH]) for key, value in (tags or {}).items()]
        metric_list = [Metric(_name(key), float(value), stamp, step) for key, value, step, stamp in metrics]
        calls = (parts(metric_list, _METRICS_A_CALL), parts(param_list, _PAIRS_A_CALL), parts(tag_list, _PAIRS_A_CALL))
        for some_metrics, some_params, some_tags in zip_longest(*calls, fillvalue=()):
            self._client.log_batch(run_id, metrics=some_metrics, params=some_params, tags=some_tags)

    def steps(self, run_id: str) -> dict[str, set[int]]:
        """The steps of every metric at which a run has a point."""
        names = self._client.get_run(run_id).data.metrics
        return {name: {point.step for point in self._client.get_metric_history(run_id, name)} for name in names}

    def keep(self, run_id: str, paths: Sequence[Path], folder: str | None = None) -> bool:
        """Keep files with a run, in a folder of its artifacts; returns whether they are all there.

        A server whose artifact store is out of reach still gets all the numbers: one warning.
        """
        for path in paths:
            if self._keeps_artifacts:
                try:
                    self._client.log_artifact(run_id, str(path), folder)
                except Exception as error:
                    self._client.get_run(run_id)  # if the server itself is away, that is what is wrong
                    self._keeps_artifacts = False
                    told = without_secrets(str(error))
                    _log.warning("MLflow at %s takes no artifacts (%s); figures and tables stay in the results", self.uri, told)
        return self._keeps_artifacts

    def keep_contents(self, run_id: str, contents: Mapping[str, bytes], folder: str) -> bool:
        """:meth:`keep` of files that are not here, by name."""
        with TemporaryDirectory() as place:
            paths = [Path(place) / name for name in contents]
            for path in paths:
                path.write_bytes(contents[path.name])
            return self.keep(run_id, paths, folder)

    def end(self, run_id: str, status: Status) -> None:
        """End a run now."""
        self._client.set_terminated(run_id, status)

    def delete(self, run_id: str) -> None:
        """Move a run to MLflow's deleted runs, where it can be restored."""
        self._client.delete_run(run_id)


def equals(tag: str, value: str) -> str:
    """MLflow's filter for a tag with this very value."""
    quote = '"' if "'" in value else "'"
    return f"tags.{tag} = {quote}{value}{quote}"


def parts(items: Any, size: int) -> list[Any]:
    """A sequence cut into pieces of at most ``size``."""
    return [items[start : start + size] for start in range(0, len(items), size)]


def sentences(name: str, told: Sequence[str]) -> dict[str, str]:
    """A tag with what was found, cut to MLflow's length; none if nothing was."""
    return {name: "; ".join(told)[:TAG_LENGTH]} if told else {}


def is_failure_of_mlflow(error: Exception) -> bool:
    """Whether it is MLflow, its database, its server or the way there that failed, and not this program."""
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError
    from urllib3.exceptions import HTTPError

    # OSError: files, sockets and all of requests. ImportError: the driver of a database that is not installed.
    return isinstance(error, MlflowException | SQLAlchemyError | HTTPError | OSError | ImportError)


def is_outage(error: Exception) -> bool:
    """Whether what failed may work later: the server or its database is away or overloaded, and has not refused what was asked."""
    from mlflow.exceptions import MlflowException

    if isinstance(error, MlflowException):
        # A server whose database has no connection left answers 400, as if the request were wrong.
        return error.error_code not in _REFUSALS or "QueuePool limit" in str(error)
    return is_failure_of_mlflow(error) and not isinstance(error, ImportError)


def same_numbers(stored: Mapping[str, float], given: Mapping[str, float]) -> bool:
    """Whether two sets of metrics are equal to the last bit, NaN being itself."""
    return {name: repr(float(value)) for name, value in stored.items()} == {name: repr(float(v)) for name, v in given.items()}


def page(uri: str, path: str) -> str:
    """Address of a page of MLflow's UI: of the server, or of ``mlflow ui`` at its usual port for a local store."""
    server = public_address(uri) if uri.startswith("http") else "http://127.0.0.1:5000"
    return f"{server}/{path}"


def reason_of(error: Exception) -> str:
    """An error in one line, as it may be printed."""
    return without_secrets(f"{type(error).__name__}: {error}").splitlines()[0][:300]


@contextmanager
def _nothing_collected() -> Iterator[None]:
    """MLflow makes dozens of objects of each run, which all stay: to look for garbage among them takes as long as making them."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _knock(uri: str) -> None:
    """Raise OSError if the host of a database does not answer: MLflow asks an absent one for two minutes before it says so."""
    from sqlalchemy.engine import make_url

    if uri.startswith(tuple(_PORTS)) and (url := make_url(uri)).host:
        address = url.host, url.port or _PORTS[url.get_backend_name()]
        socket.create_connection(address, _KNOCK_SECONDS).close()


def now() -> int:
    """Milliseconds since 1970, as MLflow counts."""
    return time.time_ns() // 1_000_000


def _name(key: str) -> str:
    """MLflow's names hold letters, digits and ``/_-. :`` only."""
    return re.sub(r"[^/\w.\- :]", "_", key)
