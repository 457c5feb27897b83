"""Sets of fields in the form of `fieldsV1`: a tree of path elements.

A path element is `f:NAME`, `k:{KEYS}` (an item of a list by its keys) or `v:VALUE` (an item of a set). A node without
children is a member; a node with children is one when it has the child `.`.
"""

import json
from collections.abc import Iterable, Iterator
from typing import Any, TypeAlias

Path: TypeAlias = tuple[str, ...]
Tree: TypeAlias = dict[str, Any]
_SELF = "."


def insert(tree: Tree, path: Path) -> None:
    """Make the path a member."""
    node, existed = tree, True
    for element in path:
        if existed and not node and node is not tree:
            node[_SELF] = {}  # a member that gets children stays one
        child = node.get(element)
        existed = child is not None
        if child is None:
            child = node[element] = {}
        node = child
    if existed and node:
        node[_SELF] = {}


def discard(tree: Tree, path: Path) -> None:
    """Make the path no member; its children stay."""
    head, rest = path[0], path[1:]
    child = tree.get(head)
    if child is None:
        return
    if not rest:
        if child:
            child.pop(_SELF, None)
        else:
            del tree[head]
        return
    if not child:
        return
    discard(child, rest)
    if not child:
        del tree[head]
    elif child.keys() == {_SELF}:
        child.clear()


def has(tree: Tree, path: Path) -> bool:
    """Whether the path is a member."""
    node = tree
    for element in path:
        if element not in node:
            return False
        node = node[element]
    return not node or _SELF in node


def members(tree: Tree, prefix: Path = ()) -> Iterator[Path]:
    """Every member."""
    for element, child in tree.items():
        if element == _SELF:
            continue
        path = (*prefix, element)
        if not child or _SELF in child:
            yield path
        yield from members(child, path)


def from_members(paths: Iterable[Path]) -> Tree:
    """The tree of these members, in the order of their text."""
    tree: Tree = {}
    for path in sorted(paths):
        insert(tree, path)
    return tree


def with_parents(paths: Iterable[Path]) -> set[Path]:
    """The paths and everything above them."""
    return {path[:end] for path in paths for end in range(1, len(path) + 1)}


def text(path: Path) -> str:
    """As people read it: `.spec.containers[name="web"].image`."""
    return "".join(_element(element) for element in path)


def _element(element: str) -> str:
    kind, rest = element[:2], element[2:]
    if kind == "f:":
        return f".{rest}"
    if kind == "k:":
        keys: dict[str, object] = json.loads(rest)
        return "[" + ",".join(f"{name}={json.dumps(value)}" for name, value in keys.items()) + "]"
    return f"[={rest}]"


def valid(tree: object) -> bool:
    """Whether a value from outside is such a tree."""
    if not isinstance(tree, dict):
        return False
    return all((key == _SELF or key[:2] in ("f:", "k:", "v:", "i:")) and valid(child) for key, child in tree.items())
