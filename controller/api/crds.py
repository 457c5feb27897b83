"""Kinds that upstream defines by CustomResourceDefinitions: their names, columns and schemas, from those documents.

The documents are vendored (`tools/trim_crds.py`): the cluster-wide policies of kubernetes-sigs/network-policy-api.
"""

import gzip
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import orjson

from controller.api.columns import NAME, Cell, Column
from controller.api.status import Object
from controller.api.times import age

_DATA: Final = Path(__file__).with_name("data") / "crds.json.gz"
_METADATA: Final = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
_COMPONENTS: Final = "#/components/schemas/"


@dataclass(frozen=True, slots=True)
class CustomDefinition:
    """One kind as its document defines it."""

    group: str
    version: str
    kind: str
    plural: str
    short_names: tuple[str, ...]
    namespaced: bool
    has_status: bool
    columns: tuple[Column, ...]
    definition: str
    """The schema's name in `definitions`: `io.k8s.networking.policy.v1alpha2.ClusterNetworkPolicy`."""


@cache
def custom_definitions() -> Mapping[str, CustomDefinition]:
    """By kind. Each document has one version here."""
    return {one.kind: one for one in map(_read, _documents())}


@cache
def definitions() -> dict[str, Object]:
    """The documents' schemas as OpenAPI definitions, by name; metadata is Kubernetes' own."""
    return {_name(spec := one["spec"]): _schema(spec) for one in _documents()}


@cache
def _documents() -> list[Object]:
    loaded: list[Object] = orjson.loads(gzip.decompress(_DATA.read_bytes()))
    return loaded


def _name(spec: Object) -> str:
    reversed_group = ".".join(reversed(spec["group"].split(".")))
    return f"{reversed_group}.{spec['versions'][0]['name']}.{spec['names']['kind']}"


def _schema(spec: Object) -> Object:
    (version,) = spec["versions"]
    schema: Object = version["schema"]["openAPIV3Schema"]
    metadata = {"allOf": [{"$ref": _COMPONENTS + _METADATA}]}
    gvk = {"group": spec["group"], "version": version["name"], "kind": spec["names"]["kind"]}
    return {
        **schema,
        "properties": {**schema["properties"], "metadata": metadata},
        "x-kubernetes-group-version-kind": [gvk],
    }


def _read(document: Object) -> CustomDefinition:
    spec = document["spec"]
    (version,) = spec["versions"]
    names = spec["names"]
    return CustomDefinition(
        group=spec["group"],
        version=version["name"],
        kind=names["kind"],
        plural=names["plural"],
        short_names=tuple(names.get("shortNames") or ()),
        namespaced=spec["scope"] == "Namespaced",
        has_status="status" in (version.get("subresources") or {}),
        columns=(NAME, *(_column(one) for one in version.get("additionalPrinterColumns") or ())),
        definition=_name(spec),
    )


def _column(told: Object) -> Column:
    return Column(told["name"], _cell(told["jsonPath"], told["type"]), told.get("priority", 0), told["type"])


def _cell(path: str, kind: str) -> Callable[[Object], Cell]:
    """A cell by a path of field names alone, as these documents have."""
    steps = path.removeprefix(".").split(".")

    def cell(obj: Object) -> Cell:
        value: Any = obj
        for step in steps:
            value = value.get(step) if isinstance(value, dict) else None
        return age(value or "") if kind == "date" else "" if value is None else str(value)

    return cell
