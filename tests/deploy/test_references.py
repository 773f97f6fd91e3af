"""Whatever an object names is there, or on the list of what has to be made before."""

from urllib.parse import urlsplit

import pytest

from tests.deploy.references import EXTERNAL, dangling, references, unmounted
from tests.deploy.rendered import KUBERNETES, OVERLAYS, named, pods, render, with_component
from tests.deploy.selecting import policies_of, selects

ALL = pytest.mark.parametrize("overlay", OVERLAYS)
CLUSTER_WIDE = ("Namespace",)


@ALL
def test_every_reference_resolves(overlay):
    objects = render(overlay)
    assert not dangling(objects)
    assert not [name for pod in pods(objects) for name in unmounted(pod)]


def test_a_store_in_a_bucket_asks_for_its_secret_alone():
    objects = with_component("object-store")
    assert not dangling(objects)
    assert {(kind, name) for _, kind, name in references(objects)} & EXTERNAL.keys() == {
        ("Secret", "postgresql"),
        ("Secret", "object-store"),
        ("PersistentVolume", "corpora"),
    }


def test_a_reference_that_leads_nowhere_is_found():
    objects = render("gpu")
    named(objects, "ConfigMap")["metadata"]["name"] = "environment-5m2k9c"  # as a generator would have named it
    assert {fault.rpartition(" ")[2] for fault in dangling(objects)} == {"environment"}
    assert any("Secret other" in fault for fault in dangling([*objects, with_secret("other")]))


def with_secret(name):
    deployment = named(render("gpu"), "Deployment")
    deployment["spec"]["template"]["spec"]["containers"][0]["envFrom"] = [{"secretRef": {"name": name}}]
    return deployment


def test_how_to_make_each_secret_is_written_where_they_are_referenced():
    text = (KUBERNETES / "base" / "kustomization.yaml").read_text()
    for kind, name in EXTERNAL:
        if kind == "Secret":
            assert f"create secret generic {name} " in text


@ALL
def test_everything_is_in_one_namespace_that_is_rendered_too(overlay):
    objects = render(overlay)
    places = {each["metadata"].get("namespace") for each in objects if each["kind"] not in CLUSTER_WIDE}
    assert places == {named(objects, "Namespace")["metadata"]["name"]}


@ALL
def test_every_service_selects_a_pod_that_has_its_port(overlay):
    objects = render(overlay)
    for service in (each for each in objects if each["kind"] == "Service"):
        chosen = [pod for pod in pods(objects) if selects({"matchLabels": service["spec"]["selector"]}, pod.labels)]
        assert len(chosen) == 1, service["metadata"]["name"]
        ports = {port["name"] for port in chosen[0].spec["containers"][0]["ports"]}
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports


@ALL
def test_every_address_of_a_service_is_one_that_is_rendered(overlay):
    objects = render(overlay)
    ports = {each["metadata"]["name"]: each["spec"]["ports"][0]["port"] for each in objects if each["kind"] == "Service"}
    arguments = named(objects, "Deployment")["spec"]["template"]["spec"]["containers"][0]["args"]
    database = next(urlsplit(argument.partition("=")[2]) for argument in arguments if argument.startswith("--backend-store-uri="))
    for address in (urlsplit(named(objects, "ConfigMap")["data"]["MLFLOW_TRACKING_URI"]), database):
        assert ports[address.hostname] == address.port


@ALL
def test_every_pod_is_denied_what_no_policy_allows_in_both_directions(overlay):
    objects = render(overlay)
    for pod in pods(objects):
        for direction in ("ingress", "egress"):
            assert any(direction not in spec for spec in policies_of(objects, pod.labels, direction)), pod.owner


@ALL
def test_every_disruption_budget_selects_a_pod_and_the_head_has_one(overlay):
    objects = render(overlay)
    budgets = [each["spec"] for each in objects if each["kind"] == "PodDisruptionBudget"]
    protected = [[pod.component for pod in pods(objects) if selects(budget["selector"], pod.labels)] for budget in budgets]
    assert all(protected)
    assert any("ray-head" in components for components in protected)
    for budget in budgets:  # pods whose controller has no scale subresource allow no other kind
        assert isinstance(budget["minAvailable"], int)


@ALL
def test_every_account_of_a_pod_that_is_not_the_heads_has_no_rights(overlay):
    objects = render(overlay)
    assert not [each for each in objects if each["kind"] in ("Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding")]
    accounts = [each for each in objects if each["kind"] == "ServiceAccount"]
    assert accounts
    assert all(each["automountServiceAccountToken"] is False for each in accounts)


def test_on_one_node_every_volume_is_one_that_kinds_storage_class_makes():
    claims = [each for each in render("laptop") if each["kind"] == "PersistentVolumeClaim"]
    assert claims
    assert all(claim["spec"]["accessModes"] == ["ReadWriteOnce"] and "storageClassName" not in claim["spec"] for claim in claims)
