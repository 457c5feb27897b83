"""`Table` answers: what makes `kubectl get` print a kind's own columns."""

from collections.abc import Iterable, Sequence
from typing import Final

from controller.api.registry import Kind
from controller.api.status import Object
from controller.api.store import Stored

_DESCRIPTIONS: Final = {
    "Name": "Name must be unique within a namespace.",
    "Age": "Time since the object was created.",
}


def wanted(accept: str) -> bool:
    """Whether the Accept header asks for a table."""
    return "as=Table" in accept


def definitions(kind: Kind) -> list[Object]:
    """The columns' headers."""
    return [
        {
            "name": column.name,
            "type": column.type,
            "format": column.format,
            "description": _DESCRIPTIONS.get(column.name, ""),
            "priority": column.priority,
        }
        for column in kind.columns
    ]


def row(kind: Kind, obj: Object, include: str) -> Object:
    """One object's row; `include` is the request's includeObject (Metadata, None, Object)."""
    result: Object = {"cells": [column.cell(obj) for column in kind.columns]}
    if include == "Object":
        result["object"] = obj
    elif include != "None":
        partial = {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1"}
        result["object"] = {**partial, "metadata": obj["metadata"]}
    return result


def table(kind: Kind, items: Iterable[Stored], metadata: Object, include: str, *, headers: bool = True) -> Object:
    """A whole table."""
    columns: Sequence[Object] = definitions(kind) if headers else []
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": metadata,
        "columnDefinitions": columns,
        "rows": [row(kind, item.object, include) for item in items],
    }
