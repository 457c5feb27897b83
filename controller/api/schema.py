"""Upstream's schemas: field checks with paths, and what strategic merge needs to know about a field.

A definition is compiled once into a checker. A checker returns None when all is well, else its findings with paths
relative to the value, so that the common case builds no strings. It also drops nulls: null means absent.
"""

import gzip
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, Final, TypeAlias

import orjson

from controller.api import crds
from controller.api.status import Object

_DATA: Final = Path(__file__).with_name("data") / "schemas.json.gz"


@dataclass(slots=True)
class Finding:
    """An unknown field or a wrong type; `path` as in `spec.containers[0].image`."""

    path: str
    unknown: bool
    got: str = ""
    wanted: str = ""


Findings: TypeAlias = "list[Finding] | None"
Checker: TypeAlias = Callable[[Any], Findings]


@cache
def definitions() -> dict[str, Object]:
    """All vendored definitions, in OpenAPI 3.0's form."""
    loaded: dict[str, Object] = orjson.loads(gzip.decompress(_DATA.read_bytes()))
    # Hints by node (trafficDistribution: PreferSameNode) are younger than the vendored schemas: Kubernetes 1.33.
    hints = loaded["io.k8s.api.discovery.v1.EndpointHints"]["properties"]
    told = "forNodes indicates the node(s) this endpoint should be consumed by."
    hints.setdefault("forNodes", {**hints["forZones"], "description": told})
    return loaded | crds.definitions()


def reference(node: Object) -> str:
    """The definition that a node refers to, or an empty string."""
    target = node.get("$ref") or next((part["$ref"] for part in node.get("allOf", ()) if "$ref" in part), "")
    return str(target).rpartition("/")[2]


def resolve(node: Object) -> Object:
    """The node, or the definition that it refers to."""
    name = reference(node)
    return definitions()[name] if name else node


@cache
def checker(definition: str) -> Checker:
    """The compiled checker of a definition; of one from a CRD it finds unknown fields and wrong metadata alone."""
    node = definitions()[definition]
    if definition in crds.definitions():
        return _pruned(node)
    if "properties" in node:
        return _struct(node["properties"])
    if definition.endswith((".IntOrString", ".Quantity")):
        return _number_or_text(definition.endswith(".Quantity"))
    return _compile(node)


def _lazily(definition: str) -> Checker:
    # Definitions refer to themselves (JSONSchemaProps): look the checker up when it is needed.
    def check(value: Any) -> Findings:
        return checker(definition)(value)

    return check


def _compile(node: Object) -> Checker:
    name = reference(node)
    if name:
        return _lazily(name) if "properties" in definitions()[name] else checker(name)
    match node.get("type"):
        case "string":
            return _time if node.get("format") == "date-time" else _text
        case "boolean":
            return _boolean
        case "integer":
            return _integer(node.get("format", "int64"))
        case "number":
            return _number
        case "array":
            return _list(_compile(node["items"]))
        case "object" if "properties" in node:
            return _struct(node["properties"])
        case "object" if isinstance(node.get("additionalProperties"), dict):
            return _map(_compile(node["additionalProperties"]))
        case "object":
            return _free
        case _:
            return _anything


_NAMES: Final = {str: "string", bool: "bool", int: "number", float: "number", dict: "object", list: "array"}


def _wrong(value: Any, wanted: str) -> list[Finding]:
    return [Finding("", False, _NAMES.get(type(value), "null"), wanted)]


def _text(value: Any) -> Findings:
    return None if type(value) is str else _wrong(value, "string")


def _time(value: Any) -> Findings:
    if type(value) is not str:
        return _wrong(value, "time")
    try:
        datetime.fromisoformat(value)
    except ValueError:
        return [Finding("", False, f'"{value}"', "time (RFC 3339)")]
    return None


def _boolean(value: Any) -> Findings:
    return None if type(value) is bool else _wrong(value, "bool")


def _number(value: Any) -> Findings:
    return None if type(value) in (int, float) else _wrong(value, "float64")


def _integer(name: str) -> Checker:
    bound = 1 << (31 if name == "int32" else 63)

    def check(value: Any) -> Findings:
        if type(value) is not int:
            return _wrong(value, name)
        return None if -bound <= value < bound else [Finding("", False, f"number {value}", name)]

    return check


def _number_or_text(fractions: bool) -> Checker:
    allowed = (str, int, float) if fractions else (str, int)
    wanted = "Quantity" if fractions else "IntOrString"
    return lambda value: None if type(value) in allowed else _wrong(value, wanted)


def _anything(_value: Any) -> Findings:
    return None


def _free(value: Any) -> Findings:
    return None if type(value) is dict else _wrong(value, "object")


def _joined(name: str, findings: list[Finding]) -> list[Finding]:
    for finding in findings:
        rest = finding.path
        finding.path = name if not rest else f"{name}{rest}" if rest[0] == "[" else f"{name}.{rest}"
    return findings


def _struct(properties: Object) -> Checker:
    fields = {name: _compile(node) for name, node in properties.items()}

    def check(value: Any) -> Findings:
        if type(value) is not dict:
            return _wrong(value, "object")
        found: list[Finding] = []
        nulls = None
        for name, inner in value.items():
            field = fields.get(name)
            if inner is None:
                nulls = [*(nulls or ()), name]
            if field is None:
                found.append(Finding(name, True))
            elif inner is not None and (wrong := field(inner)):
                found += _joined(name, wrong)
        for name in nulls or ():
            del value[name]
        return found or None

    return check


def _list(item: Checker) -> Checker:
    def check(value: Any) -> Findings:
        if type(value) is not list:
            return _wrong(value, "array")
        found: list[Finding] = []
        for index, inner in enumerate(value):
            if wrong := item(inner):
                found += _joined(f"[{index}]", wrong)
        return found or None

    return check


def _map(item: Checker) -> Checker:
    def check(value: Any) -> Findings:
        if type(value) is not dict:
            return _wrong(value, "map")
        found: list[Finding] = []
        for name, inner in value.items():
            if inner is None and item is _text:
                value[name] = ""  # a null in a map is its type's zero, as Go decodes it
            elif wrong := item(inner):
                found += _joined(name, wrong)
        return found or None

    return check


def _pruned(node: Object) -> Checker:
    """Unknown fields only: other findings in objects of CRDs are answered as causes, by `structural.violations`."""
    if reference(node):
        return _compile(node)
    if "properties" in node:
        return _pruned_struct(
            {name: (_pruned(inner), bool(reference(inner))) for name, inner in node["properties"].items()}
        )
    if isinstance(node.get("items"), dict):
        item = _list(_pruned(node["items"]))
        return lambda value: item(value) if type(value) is list else None
    return _anything


def _pruned_struct(fields: dict[str, tuple[Checker, bool]]) -> Checker:
    def check(value: Any) -> Findings:
        found: list[Finding] = []
        for name in list(value) if type(value) is dict else ():
            check_field, typed = fields.get(name, (None, False))
            if check_field is None:
                found.append(Finding(name, True))
            elif typed and value[name] is None:
                del value[name]
            elif wrong := check_field(value[name]):
                found += _joined(name, wrong)
        return found or None

    return check


def drop_unknown(value: Object, path: str) -> None:
    """Remove the field at a finding's path, as decoding into upstream's structs does."""
    steps = path.replace("[", ".[").split(".")
    target: Any = value
    for step in steps[:-1]:
        target = target[int(step[1:-1])] if step[0] == "[" else target[step]
    target.pop(steps[-1], None)
