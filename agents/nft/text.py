"""Fragments as nft's commands: the whole ruleset at the start, then only what changes. Each text is one transaction."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from agents.nft.model import EMPTY, TABLE, Elements, Fragment

_LINE = 500
"""Elements per command: nft's parser is slow on very long lines."""


@dataclass(frozen=True, slots=True)
class SharedChange:
    """Elements of one shared map or set: those that go (with the values they had) and those that come."""

    removed: Elements
    added: Elements


def whole(base: str, fragments: Iterable[Fragment], shared: Mapping[str, Elements]) -> str:
    """The table from nothing, in the place of whatever was there."""
    changed = [(EMPTY, one) for one in fragments]
    additions = {name: SharedChange({}, elements) for name, elements in shared.items()}
    return f"add table {TABLE}\ndelete table {TABLE}\n{base}{change(changed, additions)}"


def change(fragments: Iterable[tuple[Fragment, Fragment]], shared: Mapping[str, SharedChange]) -> str:
    """What leads from the first of each pair to the second, in an order that never refers to what is not there."""
    pairs = list(fragments)
    lines: list[str] = []
    for old, new in pairs:
        lines += _declarations(old, new)
    for old, new in pairs:
        lines += _rules(old, new)
    for name, difference in shared.items():
        lines += _elements(name, difference.removed, difference.added)
    for old, new in pairs:
        lines += _own_elements(old, new)
    for old, new in pairs:
        lines += _endings(old, new)
    return "".join(f"{line}\n" for line in lines)


def _declarations(old: Fragment, new: Fragment) -> Iterator[str]:
    for name, one in new.collections.items():
        known = old.collections.get(name)
        if known is None:
            yield f"add {one.kind} {TABLE} {name} {{ {one.definition} }}"
    for name in new.chains:
        if name not in old.chains:
            yield f"add chain {TABLE} {name}"


def _rules(old: Fragment, new: Fragment) -> Iterator[str]:
    for name, rules in new.chains.items():
        known = old.chains.get(name)
        if known == rules:
            continue
        if known is not None:
            yield f"flush chain {TABLE} {name}"
        yield from (f"add rule {TABLE} {name} {rule}" for rule in rules)


def _own_elements(old: Fragment, new: Fragment) -> Iterator[str]:
    for name, one in new.collections.items():
        known = old.collections.get(name)
        before = known.elements if known is not None else {}
        if before == one.elements:
            continue
        removed = {key: value for key, value in before.items() if one.elements.get(key) != value}
        added = {key: value for key, value in one.elements.items() if before.get(key) != value}
        yield from _elements(name, removed, added)


def _endings(old: Fragment, new: Fragment) -> Iterator[str]:
    """Rules first, then what they referred to."""
    gone = [name for name in old.chains if name not in new.chains]
    yield from (f"flush chain {TABLE} {name}" for name in gone)
    for name, one in old.collections.items():
        if name not in new.collections:
            yield f"delete {one.kind} {TABLE} {name}"
    yield from (f"delete chain {TABLE} {name}" for name in gone)


def _elements(name: str, removed: Elements, added: Elements) -> Iterator[str]:
    for verb, elements in (("delete", removed), ("add", added)):
        words = [f"{key} : {value}" if value else key for key, value in elements.items()]
        for start in range(0, len(words), _LINE):
            yield f"{verb} element {TABLE} {name} {{ {', '.join(words[start : start + _LINE])} }}"
