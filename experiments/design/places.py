"""Where something stands in an experiment's file, by names that stay right when levels are chosen anew.

A path such as `("spec", "factors", "overlay", "levels", "vxlan")` may name an item of a list by its `name`, `id` or
`kind`, or by itself.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

from experiments.records import Value
from kubinet.documents import Path, Where, spell
from kubinet.manifests import Manifest
from kubinet.yamldata import parse_documents


def spelled(value: Value) -> str:
    """A value as a level's name: `true`, `1500`, `0.5`, `vxlan`."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else repr(value)


def places(document: Mapping[str, Any], manifest: Manifest | None = None) -> Where:
    """Paths of the document to words for messages: `file.yaml:12: spec.factors[0].levels[1]`, or without a file."""

    @cache
    def lines() -> Mapping[tuple[str | int, ...], int]:
        found: dict[tuple[str | int, ...], int] = {}
        if manifest is not None:
            for one in parse_documents(manifest.text, manifest.source, lines_of=manifest.document, lines=found):
                if one.number == manifest.document:
                    break
        return found

    def where(path: Path) -> str:
        found = _found(document, path)
        if manifest is None:
            return spell(found)
        parents = (tuple(found[:length]) for length in range(len(found), 0, -1))
        line = next((lines()[one] for one in parents if one in lines()), manifest.line)
        return f"{manifest.source}:{line}: {spell(found)}"

    return where


def under(where: Where, *path: str | int) -> Callable[..., str]:
    """`where` for paths that begin with `path`: `here("name")`."""
    return lambda *more: where((*path, *more))


def _found(document: object, path: Path) -> list[str | int]:
    """The path with names in lists replaced by indices; what does not exist is kept as it is."""
    found: list[str | int] = []
    for position, part in enumerate(path):
        if isinstance(document, list) and isinstance(part, str):
            steps = _steps(document, part)
            if steps is None:
                return [*found, *path[position:]]
        else:
            steps = [part]
        for step in steps:
            document = _child(document, step)
        found += steps
    return found


def _steps(items: Sequence[object], name: str) -> list[str | int] | None:
    for index, item in enumerate(items):
        if _name(item) == name:
            return [index]
        together = item.get("together") if isinstance(item, dict) else None
        inner = _steps(together, name) if isinstance(together, list) else None
        if inner is not None:
            return [index, "together", *inner]
    return None


def _name(item: object) -> str:
    if isinstance(item, dict):
        item = next((item[key] for key in ("name", "id", "kind") if key in item), "")
    return spelled(item) if isinstance(item, str | int | float) else ""


def _child(document: object, step: str | int) -> object:
    if isinstance(document, dict):
        return document.get(step)
    if isinstance(document, list) and isinstance(step, int) and step < len(document):
        return document[step]
    return None
