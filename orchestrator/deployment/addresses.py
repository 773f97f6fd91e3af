"""Where MLflow and the dashboard of a launched sweep are. Neither is open to the world, so both are reached through kubectl."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestrator.deployment.kubectl import Kubectl, in_namespace
from orchestrator.deployment.rendering import Rendered

_DASHBOARD = "8265"


def mlflow_ways(kubectl: Kubectl, rendered: Rendered) -> list[str]:
    """How to reach the tracking servers of an overlay; none where it names a server elsewhere."""
    ways = []
    for each in rendered.documents:
        if each["kind"] == "Service" and "mlflow" in each["metadata"]["name"]:
            port, name = each["spec"]["ports"][0]["port"], each["metadata"]["name"]
            ways.append(_way("MLflow", kubectl, name, rendered.namespace, str(port)))
    return ways


def dashboard_way(kubectl: Kubectl, job: Mapping[str, Any]) -> str:
    """How to reach the dashboard of the Ray cluster that a RayJob has, and the token that it asks for."""
    cluster, namespace = job["status"]["rayClusterName"], job["metadata"].get("namespace")
    asked = job["spec"].get("rayClusterSpec", {}).get("authOptions") or {}
    way = _way("Ray's dashboard", kubectl, f"{cluster}-head-svc", namespace, _DASHBOARD)
    if asked.get("mode") != "token":
        return way
    secret = ("get", "secret", asked.get("secretName") or cluster, *in_namespace(namespace), "--output=jsonpath={.data.auth_token}")
    return f"{way}\nIts token:\n  {kubectl.command(*secret)} | base64 -d"


def _way(what: str, kubectl: Kubectl, service: str, namespace: str | None, port: str) -> str:
    forward = kubectl.command("port-forward", f"service/{service}", *in_namespace(namespace), f"{port}:{port}")
    return f"{what}, at http://127.0.0.1:{port} while this runs:\n  {forward}"
