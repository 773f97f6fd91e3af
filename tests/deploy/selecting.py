"""How Kubernetes reads selectors, network policies and node affinities: as much of it as our manifests use."""

import ipaddress
from typing import Any

_OPERATORS = {
    "In": lambda labels, key, values: labels.get(key) in values,
    "NotIn": lambda labels, key, values: labels.get(key) not in values,
    "Exists": lambda labels, key, values: key in labels,
    "DoesNotExist": lambda labels, key, values: key not in labels,
}
_Labels = dict[str, str]


def selects(selector: dict[str, Any], labels: _Labels) -> bool:
    """Whether a label selector holds; an empty one always does."""
    assert not selector.keys() - {"matchLabels", "matchExpressions"}, selector
    wanted = selector.get("matchLabels", {}).items()
    return all(labels.get(key) == value for key, value in wanted) and _hold(selector.get("matchExpressions", []), labels)


def may_run_on(pod: dict[str, Any], node: _Labels) -> bool:
    """Whether a pod's spec allows a node with these labels, taints apart."""
    if not all(node.get(key) == value for key, value in pod.get("nodeSelector", {}).items()):
        return False
    required = pod.get("affinity", {}).get("nodeAffinity", {}).get("requiredDuringSchedulingIgnoredDuringExecution")
    return required is None or any(_hold(term["matchExpressions"], node) for term in required["nodeSelectorTerms"])


def may_talk(objects: list[dict[str, Any]], source: _Labels, target: _Labels, port: int, namespace: str | None = None) -> bool:
    """Whether the policies let a pod open a TCP connection to a pod of ours.

    Args:
        objects: With the policies among them.
        source: Labels of the pod that connects.
        target: Labels of the other one.
        port: Of the target.
        namespace: Of the source, if it is not ours.
    """
    comes_in = _allowed(objects, target, "ingress", "from", lambda peer: _is_peer(peer, source, namespace), port)
    return comes_in and (
        namespace is not None or _allowed(objects, source, "egress", "to", lambda peer: _is_peer(peer, target, None), port)
    )


def may_leave(objects: list[dict[str, Any]], source: _Labels, address: str, port: int) -> bool:
    """Whether the policies let a pod open a TCP connection to an address that is no pod's."""
    return _allowed(objects, source, "egress", "to", lambda peer: _holds_address(peer, address), port)


def policies_of(objects: list[dict[str, Any]], labels: _Labels, direction: str) -> list[dict[str, Any]]:
    """The specs of the policies that say something on a pod's ``ingress`` or ``egress``."""
    specs = [each["spec"] for each in objects if each["kind"] == "NetworkPolicy"]
    return [spec for spec in specs if direction.capitalize() in spec["policyTypes"] and selects(spec["podSelector"], labels)]


def _allowed(objects: list[dict[str, Any]], labels: _Labels, direction: str, field: str, is_peer: Any, port: int) -> bool:
    chosen = policies_of(objects, labels, direction)
    rules = [rule for spec in chosen for rule in spec.get(direction, [])]
    return not chosen or any(
        (field not in rule or any(map(is_peer, rule[field])))
        and ("ports" not in rule or any(each["port"] == port and each["protocol"] == "TCP" for each in rule["ports"]))
        for rule in rules
    )


def _is_peer(peer: dict[str, Any], labels: _Labels, namespace: str | None) -> bool:
    if "ipBlock" in peer:
        return False
    if namespace is None and "namespaceSelector" not in peer:
        return selects(peer["podSelector"], labels)
    place = {"kubernetes.io/metadata.name": namespace or "speech"}
    return (
        "namespaceSelector" in peer and selects(peer["namespaceSelector"], place) and selects(peer.get("podSelector", {}), labels)
    )


def _holds_address(peer: dict[str, Any], address: str) -> bool:
    block = peer.get("ipBlock")
    return (
        block is not None
        and _inside(address, block["cidr"])
        and not any(_inside(address, each) for each in block.get("except", []))
    )


def _inside(address: str, network: str) -> bool:
    return ipaddress.ip_address(address) in ipaddress.ip_network(network)


def _hold(expressions: list[dict[str, Any]], labels: _Labels) -> bool:
    return all(_OPERATORS[each["operator"]](labels, each["key"], each.get("values")) for each in expressions)
