"""What a cluster lacks for a sweep, told before anything is changed: kinds of objects, rights, secrets."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from orchestrator.deployment.kubectl import ASK, OPERATOR, Kubectl, Refused, Unreachable, in_namespace
from orchestrator.deployment.order import Order
from orchestrator.deployment.rendering import QUEUE, Rendered

_RAY, _KUEUE = "ray.io", "kueue.x-k8s.io"
_INSTALL = {_RAY: OPERATOR, _KUEUE: "install Kueue and make a queue (deploy/README.md, kueue), or choose another --overlay"}
_RIGHTS = (
    ("create", "rayjobs.ray.io"),
    ("get", "rayjobs.ray.io"),
    ("delete", "rayjobs.ray.io"),
    ("get", "pods"),
    ("get", "pods/log"),
    ("get", "jobs.batch"),
)
_STOP_RIGHTS = (("create", "pods/exec"),)


def cluster_faults(kubectl: Kubectl, rendered: Rendered, order: Order) -> list[str]:
    """Everything that would keep the sweep from being launched or stopped, as far as this user can see it.

    Args:
        kubectl: Of the user.
        rendered: The objects of the sweep, or where it has faults those of its template.
        order: How it is launched.
    """
    namespace = order.namespace or rendered.namespace
    try:
        groups = _groups(kubectl)
    except Unreachable as error:
        return [f"{error}. Is the cluster up, and are you in its network?"]
    except Refused as error:
        return [str(error)]
    faults = [
        f"the cluster knows no objects of {group}: {_INSTALL.get(group, 'install what brings them, or choose another --overlay')}"
        for group in sorted(_needed(rendered) - groups)
    ]
    if _RAY in groups:
        faults += _right_faults(kubectl, namespace, (*_RIGHTS, *(_STOP_RIGHTS if order.stop else ())))
    return faults + ([] if order.stop else list(_secret_faults(kubectl, rendered, namespace)))


def secrets_of(documents: Iterable[Mapping[str, Any]]) -> dict[str, set[str]]:
    """Secrets that the objects read, with the keys that they name; without those among the objects, and without optional ones."""
    documents = list(documents)
    found: dict[str, set[str]] = {}
    for name, key in _references(documents):
        found.setdefault(name, set()).update([key] if key else [])
    made = {each["metadata"]["name"] for each in documents if each["kind"] == "Secret"}
    return {name: keys for name, keys in found.items() if name not in made}


def _groups(kubectl: Kubectl) -> set[str]:
    """API groups of the cluster. That some of them do not answer just now does not matter here."""
    call = ("api-resources", "--output=name", "--request-timeout=20s")
    code, out, _ = kubectl.answer(*call)
    if code and not out.strip():
        kubectl.run(*call)  # for the reason in words
    return {line.strip().partition(".")[2] for line in out.splitlines()}


def _needed(rendered: Rendered) -> set[str]:
    """API groups of the objects that Kubernetes itself does not bring."""
    groups = {each["apiVersion"].rpartition("/")[0] for each in rendered.documents}
    queued = {_KUEUE} if QUEUE in rendered.job["metadata"].get("labels", {}) else set()
    return {group for group in groups if "." in group and not (group.endswith(".k8s.io") and group != _KUEUE)} | queued | {_RAY}


def _right_faults(kubectl: Kubectl, namespace: str | None, rights: Iterable[tuple[str, str]]) -> list[str]:
    asked = ((verb, kind, kubectl.answer("auth", "can-i", verb, kind, *in_namespace(namespace))) for verb, kind in rights)
    refused = [f"{verb} {kind}" for verb, kind, (_, out, _) in asked if out.strip() == "no"]
    where = f" in namespace {namespace}" if namespace else ""
    return [f"your account may not {', '.join(refused)}{where}: {ASK}"] if refused else []


def _secret_faults(kubectl: Kubectl, rendered: Rendered, namespace: str | None) -> Iterator[str]:
    where = in_namespace(namespace)
    for name, keys in sorted(secrets_of(rendered.documents).items()):
        code, out, _ = kubectl.answer("get", "secret", name, *where, "--ignore-not-found", "--output=name")
        if code == 0 and not out.strip():  # who may not look finds out later
            literals = [f"--from-literal={key}=..." for key in sorted(keys)]
            make = kubectl.command("create", "secret", "generic", name, *where, *literals)
            yield f"there is no secret {name}: make it with `{make}`"


def _references(part: Any) -> Iterator[tuple[str, str | None]]:
    """Every (secret, key) that a part of an object names as needed."""
    if isinstance(part, list):
        for each in part:
            yield from _references(each)
    if not isinstance(part, Mapping):
        return
    for field, value in part.items():
        if field in ("secretKeyRef", "secretRef") and not value.get("optional"):
            yield value["name"], value.get("key")
        elif field == "secret" and isinstance(value, Mapping) and "secretName" in value and not value.get("optional"):
            yield value["secretName"], None
            yield from ((value["secretName"], item["key"]) for item in value.get("items", ()))
        elif field == "secret" and isinstance(value, Mapping) and "name" in value and not value.get("optional"):  # projected
            yield value["name"], None
        elif field == "imagePullSecrets":
            yield from ((each["name"], None) for each in value)
        else:
            yield from _references(value)
