"""Request bodies into objects: formats, size and depth limits, unknown and duplicate fields, wrong types."""

import json
from dataclasses import dataclass
from typing import Any, Final, Literal

import orjson
import yaml

from controller.api import protobuf
from controller.api.schema import Finding, checker, drop_unknown
from controller.api.status import Object, bad_request, unsupported_media_type

BODY_LIMIT: Final = 3 * 1024 * 1024
"""Bytes, as upstream's API server."""
DEPTH_LIMIT: Final = 100
"""Levels of nesting; the deepest served type needs about 20."""
YAML_LIMIT: Final = 512 * 1024
"""Bytes of YAML: its parser is a hundred times slower than JSON's."""

FieldValidation = Literal["Strict", "Warn", "Ignore"]
_YAML_TYPES: Final = ("application/yaml", "application/apply-patch+yaml")
_MAX_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Decoded:
    """An object and what the client should be warned of."""

    object: Object
    warnings: tuple[str, ...] = ()


class _Duplicates(dict[str, Any]):
    """An object of JSON that names a field twice."""

    names: tuple[str, ...] = ()


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) == len(pairs):
        return result
    marked = _Duplicates(result)
    names = [name for name, _ in pairs]
    marked.names = tuple(name for name in result if names.count(name) > 1)
    return marked


def _duplicates(value: Any, path: str) -> list[str]:
    found: list[str] = []
    if isinstance(value, dict):
        if isinstance(value, _Duplicates):
            found += [f"{path}.{name}".removeprefix(".") for name in value.names]
        for name, inner in value.items():
            found += _duplicates(inner, f"{path}.{name}")
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            found += _duplicates(inner, f"{path}[{index}]")
    return found


def _check_depth(value: Any) -> None:
    level = [value]
    for _ in range(DEPTH_LIMIT):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, (dict, list))
        ]
        if not level:
            return
    raise bad_request(f"the body is nested deeper than {DEPTH_LIMIT} levels")


class _Loader(yaml.SafeLoader):
    """YAML as JSON's superset: no aliases (their expansion has no bound), text for dates."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise bad_request("YAML aliases are not accepted: write the value out")
        return super().compose_node(parent, index)


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _load_yaml(body: bytes) -> Any:
    if len(body) > YAML_LIMIT:
        raise bad_request(f"a YAML body may have at most {YAML_LIMIT} bytes: send JSON")
    try:
        loaded = yaml.load(body.decode(), Loader=_Loader)  # noqa: S506 - derived from SafeLoader
        return orjson.loads(orjson.dumps(loaded))
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        raise bad_request(f"error parsing YAML: {' '.join(str(error).split())}") from error


def parse_json(body: bytes) -> Any:
    """Any JSON value, not nested too deep; 400 where it is none."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise bad_request(f"the object provided is unrecognized (must be of type JSON): {error}") from error
    if isinstance(value, (dict, list)) and body.count(b"{") + body.count(b"[") > DEPTH_LIMIT:
        _check_depth(value)
    return value


def media_type(content_type: str) -> str:
    """Without parameters; JSON when the client says nothing (the Python client does not for PUT, POST, DELETE)."""
    return content_type.partition(";")[0].strip().lower() or "application/json"


def decode(body: bytes, content_type: str, definition: str, validation: FieldValidation) -> Decoded:
    """The object in a create or update request; `definition` empty: free-form."""
    kind = media_type(content_type)
    duplicates: list[str] = []
    if kind == protobuf.MEDIA_TYPE:
        value: Any = protobuf.decode(body)
    elif kind in _YAML_TYPES:
        value = _load_yaml(body)
    elif kind == "application/json":
        value = parse_json(body)
        if validation != "Ignore" and isinstance(value, dict):
            duplicates = _duplicates(json.loads(body, object_pairs_hook=_pairs), "")
    else:
        accepted = ("application/json", "application/yaml", protobuf.MEDIA_TYPE)
        raise unsupported_media_type(content_type, accepted)
    if not isinstance(value, dict):
        raise bad_request("the body of the request is no object")
    return check(value, definition, validation, duplicates)


_METADATA: Final = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"


def check(value: Object, definition: str, validation: FieldValidation, duplicates: list[str] | None = None) -> Decoded:
    """Check field names and types; drops nulls and, unless Strict, unknown fields."""
    if definition:
        findings = checker(definition)(value) or []
    else:
        findings = checker(_METADATA)(value["metadata"]) or [] if isinstance(value.get("metadata"), dict) else []
        for finding in findings:
            finding.path = f"metadata.{finding.path}"
        if "metadata" in value and not isinstance(value["metadata"], dict):
            findings = [Finding("metadata", False, type(value["metadata"]).__name__, "ObjectMeta")]
    wrong = [finding for finding in findings if not finding.unknown]
    if wrong:
        kind, version = value.get("kind", ""), value.get("apiVersion", "")
        texts = [f"cannot unmarshal {item.got} into field {item.path or '.'} of type {item.wanted}" for item in wrong]
        text = "; ".join(texts[:_MAX_SHOWN])
        raise bad_request(f'{kind} in version "{version}" cannot be handled as a {kind}: json: {text}')
    unknown = [finding.path for finding in findings]
    messages = [f'duplicate field "{path}"' for path in duplicates or ()]
    messages += [f'unknown field "{path}"' for path in unknown]
    if messages and validation == "Strict":
        raise bad_request("strict decoding error: " + ", ".join(messages[:_MAX_SHOWN]))
    for path in unknown:
        drop_unknown(value, path)
    return Decoded(value, tuple(messages) if validation == "Warn" else ())
