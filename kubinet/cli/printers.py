"""`-o`: objects as YAML, JSON, names, JSONPath or columns of one's own, as kubectl prints them."""

import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import yaml

from kubinet.cli import jsonpath
from kubinet.cli.table import NOTHING, text_table
from kubinet.errors import UsageError

if TYPE_CHECKING:
    from kubinet.client import Resource

Object: TypeAlias = dict[str, Any]
Printer: TypeAlias = Callable[[Object], str]
"""One object, or a List, to text."""

FORMATS: Final = "wide, yaml, json, name, jsonpath=TEMPLATE, jsonpath-file=FILE, custom-columns=HEADER:PATH,…"


def is_table(output: str | None) -> bool:
    """Whether the server renders the columns (no `-o`, or `-o wide`)."""
    return output in (None, "", "wide")


def printer(output: str, *, show_managed_fields: bool = False, show_headers: bool = True) -> Printer:
    """The printer that `-o OUTPUT` names; UsageError lists the formats."""
    format_name, _, argument = output.partition("=")
    if format_name in {"yaml", "json"} and not argument:
        dump = to_yaml if format_name == "yaml" else to_json
        return dump if show_managed_fields else lambda data: dump(_without_managed_fields(data))
    if format_name in {"jsonpath", "jsonpath-as-json", "jsonpath-file"}:
        template = _read(argument) if format_name == "jsonpath-file" else argument
        if not template:
            raise UsageError(f"-o {format_name} needs a template, such as -o jsonpath='{{.metadata.name}}'")
        if format_name == "jsonpath-as-json":
            return lambda data: to_json(jsonpath.find(template, data))
        jsonpath.parse_template(template)  # a wrong template is reported before any request
        return lambda data: jsonpath.render(template, data)
    if format_name == "custom-columns" and argument:
        return _columns(argument, show_headers)
    raise UsageError(f"-o {output}: unknown output format; known are {FORMATS}")


def to_json(data: object) -> str:
    """JSON as kubectl prints it: four blanks, sorted keys."""
    return json.dumps(data, indent=4, sort_keys=True, ensure_ascii=False) + "\n"


class _Dumper(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc]
    """YAML without aliases (nobody reads them) and with block style for text of several lines."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002
        return True


def _represent_text(dumper: Any, data: str) -> Any:
    style = "|" if "\n" in data and not any(line.endswith((" ", "\t")) for line in data.splitlines()) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", data, style=style)


_Dumper.add_representer(str, _represent_text)


def to_yaml(data: object) -> str:
    """YAML as kubectl prints it: sorted keys, lists not indented, no line folding."""
    text: str = yaml.dump(data, Dumper=_Dumper, default_flow_style=False, allow_unicode=True, width=1 << 30)
    return text


def name_of(resource: "Resource", name: str) -> str:
    """`pod/a`, `networkpolicy.networking.k8s.io/b`: how kubectl names an object."""
    singular = resource.singular or resource.kind.lower()
    return f"{singular}.{resource.group}/{name}" if resource.group else f"{singular}/{name}"


def items_of(data: Object) -> list[Object]:
    """The objects in a List, or the object itself."""
    if str(data.get("kind", "")).endswith("List") and isinstance(data.get("items"), list):
        return list(data["items"])
    return [data]


def list_of(objects: Sequence[Object]) -> Object:
    """Several objects as one v1 List."""
    return {"apiVersion": "v1", "items": list(objects), "kind": "List", "metadata": {"resourceVersion": ""}}


def _without_managed_fields(data: Object) -> Object:
    if "items" in data and str(data.get("kind", "")).endswith("List"):
        return {**data, "items": [_without_managed_fields(item) for item in data["items"]]}
    metadata = {key: value for key, value in (data.get("metadata") or {}).items() if key != "managedFields"}
    return {**data, "metadata": metadata}


def _columns(specification: str, show_headers: bool) -> Printer:
    columns = []
    for column in specification.split(","):
        header, colon, path = column.partition(":")
        if not colon or not header or not path:
            raise UsageError(f"-o custom-columns: {column!r} must be HEADER:PATH, such as NAME:.metadata.name")
        columns.append((header, path))
        jsonpath.find(path, {})

    def show(data: Object) -> str:
        rows = [
            [",".join(jsonpath.printed(v) for v in jsonpath.find(path, item)) or NOTHING for _, path in columns]
            for item in items_of(data)
        ]
        return text_table([header for header, _ in columns], rows, show_headers=show_headers)

    return show


def _read(path: str) -> str:
    from pathlib import Path

    try:
        return Path(path).read_text()
    except OSError as error:
        raise UsageError(f"-o jsonpath-file={path}: cannot be read: {error.strerror}") from error
