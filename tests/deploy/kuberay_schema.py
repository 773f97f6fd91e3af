"""The schemas of KubeRay's CustomResourceDefinitions as the API server applies them, and stricter: unknown fields are faults."""

import functools
import os
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

_FOLDER = Path(__file__).parents[3] / "shared" / "kuberay_crds"
_FILES = {"RayJob": "rayjobs.yaml", "RayCluster": "rayclusters.yaml"}
_METADATA = {  # the CRDs leave it to the API server
    "type": "object",
    "properties": {
        **{field: {"type": "string"} for field in ("name", "generateName", "namespace")},
        **{field: {"type": "object", "additionalProperties": {"type": "string"}} for field in ("labels", "annotations")},
    },
    "additionalProperties": False,
}
_INT_OR_STRING = {"anyOf": [{"type": "integer"}, {"type": "string"}]}


def schema_faults(document: dict[str, Any]) -> list[str]:
    """What the API server would refuse or silently drop of a RayJob or a RayCluster; skips the test where there are no CRDs."""
    schema = _schema(document["kind"])
    document = with_defaults(document, schema)
    faults = jsonschema.Draft202012Validator(schema).iter_errors(document)
    return [f"{'.'.join(map(str, fault.absolute_path))}: {fault.message}" for fault in faults]


def with_defaults(value: Any, schema: dict[str, Any]) -> Any:
    """A copy with the schema's defaults where nothing is given: required fields may have one."""
    if isinstance(value, dict):
        known = schema.get("properties", {})
        missing = {name: part["default"] for name, part in known.items() if "default" in part and name not in value}
        others = schema.get("additionalProperties")
        rest = others if isinstance(others, dict) else {}
        return {name: with_defaults(each, known.get(name, rest)) for name, each in (missing | value).items()}
    if isinstance(value, list):
        return [with_defaults(each, schema.get("items", {})) for each in value]
    return value


@functools.cache
def _schema(kind: str) -> dict[str, Any]:
    folder = Path(os.environ.get("KUBERAY_CRDS", _FOLDER))
    file = folder / _FILES[kind]
    if not file.is_file():
        pytest.skip(f"no CustomResourceDefinitions of KubeRay in {folder}; KUBERAY_CRDS names another folder")
    definition = yaml.load(file.read_text(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    (version,) = [each for each in definition["spec"]["versions"] if each["name"] == "v1"]
    schema = _strict(version["schema"]["openAPIV3Schema"])
    schema["properties"]["metadata"] = _METADATA
    return schema


def _strict(schema: dict[str, Any]) -> dict[str, Any]:
    if schema.get("x-kubernetes-int-or-string"):
        return {**_INT_OR_STRING, **({"pattern": schema["pattern"]} if "pattern" in schema else {})}
    result = {name: value for name, value in schema.items() if name != "format"}
    if "properties" in schema:
        result["properties"] = {name: _strict(part) for name, part in schema["properties"].items()}
    if isinstance(schema.get("additionalProperties"), dict):
        result["additionalProperties"] = _strict(schema["additionalProperties"])
    elif schema.get("type") == "object" and not schema.get("x-kubernetes-preserve-unknown-fields"):
        result["additionalProperties"] = False
    if "items" in schema:
        result["items"] = _strict(schema["items"])
    return result
