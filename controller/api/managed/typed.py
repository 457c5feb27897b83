"""Values by their schema: which lists are sets or maps, which values are one whole (atomic).

Source: Kubernetes' API conventions and the OpenAPI extensions x-kubernetes-list-type, -list-map-keys, -map-type,
-patch-strategy and -patch-merge-key.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import cache
from typing import Any, Final

from controller.api.managed.fieldsets import Path, Tree
from controller.api.schema import definitions, resolve
from controller.api.status import Object, bad_request

_KEY_DEFAULTS: Final[Mapping[str, object]] = {"protocol": "TCP"}
"""Keys of lists that may be left out (ports): upstream's schemas have defaults for them."""


class Shape(Enum):
    """How a value is owned."""

    LEAF = "leaf"
    STRUCT = "struct"
    MAP = "map"
    KEYED = "keyed"
    SET = "set"
    FREE = "free"
    """No schema: objects are maps, everything else is a leaf."""


class Type:
    """A schema node, its parts looked at when they are needed (definitions may contain themselves)."""

    def __init__(self, node: Object) -> None:
        self._node = resolve(node)
        self._parts: dict[str, Type] = {}
        self.keys: tuple[str, ...] = ()
        self.shape = self._shape(node)

    def _shape(self, node: Object) -> Shape:
        target = self._node
        kind = target.get("type", node.get("type"))
        if kind == "array":
            return self._list_shape(node)
        if kind == "object" or "properties" in target:
            if "atomic" in (node.get("x-kubernetes-map-type"), target.get("x-kubernetes-map-type")):
                return Shape.LEAF
            if "properties" in target:
                return Shape.STRUCT
            return Shape.MAP if isinstance(target.get("additionalProperties"), dict) else Shape.FREE
        return Shape.LEAF if kind else Shape.FREE

    def _list_shape(self, node: Object) -> Shape:
        told = node.get("x-kubernetes-list-type")
        if told is None and "merge" in node.get("x-kubernetes-patch-strategy", "").split(","):
            key = node.get("x-kubernetes-patch-merge-key")
            self.keys = (key,) if key else ()
            return Shape.KEYED if key else Shape.SET
        if told == "map":
            self.keys = tuple(sorted(node["x-kubernetes-list-map-keys"]))
            return Shape.KEYED
        return Shape.SET if told == "set" else Shape.LEAF

    def part(self, name: str) -> "Type":
        """The type of a field, or of a map's value."""
        found = self._parts.get(name)
        if found is None:
            if self.shape is Shape.STRUCT:
                node = self._node["properties"].get(name)
            else:
                node = self._node.get("additionalProperties")
            found = self._parts[name] = Type(node) if isinstance(node, dict) else FREE
        return found

    @property
    def item(self) -> "Type":
        """The type of a list's items."""
        found = self._parts.get("")
        if found is None:
            found = self._parts[""] = Type(self._node.get("items") or {})
        return found

    def of(self, value: Any) -> Shape:
        """The shape of this value: what does not fit its schema is a leaf."""
        shape = self.shape
        if shape is Shape.FREE:
            return Shape.MAP if isinstance(value, dict) else Shape.LEAF
        if shape in (Shape.STRUCT, Shape.MAP):
            return shape if isinstance(value, dict) else Shape.LEAF
        if shape in (Shape.KEYED, Shape.SET):
            return shape if isinstance(value, list) else Shape.LEAF
        return Shape.LEAF

    def element(self, item: Any) -> str:
        """An item's path element."""
        if self.shape is Shape.SET or not isinstance(item, dict):
            return "v:" + json.dumps(item, separators=(",", ":"), sort_keys=True)
        keys = {key: item.get(key, _KEY_DEFAULTS.get(key)) for key in self.keys}
        return "k:" + json.dumps(keys, separators=(",", ":"))


FREE: Final = Type({})


@cache
def type_of(definition: str) -> Type:
    """The type of a definition; free-form when it is empty."""
    return Type(definitions()[definition]) if definition else FREE


def check_items(value: Any, kind: Type, path: str = "") -> None:
    """400 for a list with an item twice or without its key: it could not be merged."""
    shape = kind.of(value)
    if shape in (Shape.STRUCT, Shape.MAP):
        for name, inner in value.items():
            check_items(inner, kind.part(name), f"{path}.{name}")
    elif shape in (Shape.KEYED, Shape.SET):
        seen = set()
        for item in value:
            given = item if isinstance(item, dict) else dict.fromkeys(kind.keys)
            missing = [key for key in kind.keys if key not in given and key not in _KEY_DEFAULTS]
            if missing:
                raise bad_request(f"{path}: an item of this list lacks its key {missing[0]!r}")
            element = kind.element(item)
            if element in seen:
                raise bad_request(f"{path}: duplicate entries for key {element[2:]}")
            seen.add(element)
            check_items(item, kind.item, f"{path}[{element[2:]}]")


def fields(value: Any, kind: Type, path: Path = ()) -> Iterator[Path]:
    """What someone who applies this value owns: leaves, items of lists, keys of maps, and what is empty."""
    shape = kind.of(value)
    if shape is Shape.LEAF:
        yield path
    elif shape in (Shape.STRUCT, Shape.MAP):
        for name, inner in value.items():
            below = (*path, f"f:{name}")
            if shape is Shape.MAP or inner == {}:
                yield below
            yield from fields(inner, kind.part(name), below)
    else:
        if not value and path:
            yield path
        for item in value:
            below = (*path, kind.element(item))
            yield below
            if isinstance(item, dict):
                yield from fields(item, kind.item, below)


@dataclass(slots=True)
class Comparison:
    """How one value became another."""

    changed: list[Path] = field(default_factory=list)
    """Added or modified."""
    removed: list[Path] = field(default_factory=list)


_MISSING: Final = object()


def compare(old: Any, new: Any, kind: Type) -> Comparison:
    """The fields in which two objects differ."""
    found = Comparison()
    _compare(old, new, kind, (), found)
    return found


def _compare(old: Any, new: Any, kind: Type, path: Path, found: Comparison) -> None:
    if old is not _MISSING and new is not _MISSING and old == new:
        return
    shape = kind.of(old if new is _MISSING else new)
    other = shape if _MISSING in (old, new) else kind.of(old)
    empty = not (old is not _MISSING and old) and not (new is not _MISSING and new)
    if Shape.LEAF in (shape, other) or empty:
        (found.removed if new is _MISSING else found.changed).append(path)
        return
    before, after = _parts(old, kind, shape), _parts(new, kind, shape)
    for element, inner in after.items():
        _compare(before.get(element, _MISSING), inner, _below(kind, shape, element), (*path, element), found)
    for element, inner in before.items():
        if element not in after:
            _compare(inner, _MISSING, _below(kind, shape, element), (*path, element), found)
    # A structure is there with its fields; maps, lists and their items are something by themselves.
    if _MISSING in (old, new) and path and (shape is not Shape.STRUCT or path[-1][0] != "f"):
        (found.removed if new is _MISSING else found.changed).append(path)


def _parts(value: Any, kind: Type, shape: Shape) -> dict[str, Any]:
    if value is _MISSING:
        return {}
    if shape in (Shape.STRUCT, Shape.MAP):
        return {f"f:{name}": inner for name, inner in value.items()}
    return {kind.element(item): item for item in value}


def _below(kind: Type, shape: Shape, element: str) -> Type:
    return kind.part(element[2:]) if shape in (Shape.STRUCT, Shape.MAP) else kind.item


def merge(live: Any, wanted: Any, kind: Type) -> Any:
    """What is wanted over what is there; neither is changed, parts may be shared."""
    shape = kind.of(wanted)
    if shape is Shape.LEAF or kind.of(live) is Shape.LEAF:
        return wanted
    if shape in (Shape.STRUCT, Shape.MAP):
        return live | {
            name: merge(live[name], inner, kind.part(name)) if name in live else inner for name, inner in wanted.items()
        }
    before, after = _parts(live, kind, shape), _parts(wanted, kind, shape)
    todo = list(after)
    order: list[str] = []
    for element in before:
        if element not in after:
            order.append(element)  # the others' items keep their places
        elif element in todo:
            end = todo.index(element) + 1
            order += todo[:end]
            del todo[:end]
    merged = []
    for element in order + todo:
        if element in before and element in after:
            merged.append(merge(before[element], after[element], kind.item))
        else:
            merged.append(after[element] if element in after else before[element])
    return merged


def remove(value: Any, kind: Type, gone: Tree) -> Any:
    """The value without the members of a tree and what is below them; None when nothing is left."""
    shape = kind.of(value)
    if shape is Shape.LEAF:
        return value
    kept: dict[str, Any] = {}
    for element, inner in _parts(value, kind, shape).items():
        node = gone.get(element)
        if node is None:
            kept[element] = inner
        elif node and "." not in node:
            rest = remove(inner, _below(kind, shape, element), node)
            if rest is not None:
                kept[element] = rest
    if not kept:
        return None
    if shape in (Shape.STRUCT, Shape.MAP):
        return {element[2:]: inner for element, inner in kept.items()}
    return list(kept.values())
