"""Fragments as nft's commands: the whole ruleset at the start, then only what changes."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from agents.nft.model import EMPTY, HAIRPIN, TABLE, Elements, Fragment

_LINE = 50
"""Elements per command: nft's parser is slow on long lines, and a group of two such commands must fit into any
transaction (`proxy.longest_transaction`; with the longest names it has 18,000 characters)."""


@dataclass(frozen=True, slots=True)
class SharedChange:
    """Elements of one shared map or set: those that go (with the values they had) and those that come."""

    removed: Elements
    added: Elements


@dataclass(frozen=True, slots=True)
class Commands:
    """What leads from one ruleset to the next, in an order in which each step leaves one that serves.

    Each text is a group of commands that belong together.
    """

    before: tuple[str, ...] = ()
    """Makes what nothing refers to yet."""
    switch: tuple[str, ...] = ()
    """Connections meet a change."""
    after: tuple[str, ...] = ()
    """Removes what nothing refers to any more."""

    def transactions(self, limit: int | None = None) -> list[str]:
        """Texts for nft, one transaction each: one for all, or where that is longer than `limit` characters, several.

        Then chains change one by one and maps some fifty elements at a time: for a moment a Service may have its new
        endpoints by one address or port and its old ones by another. What is served stays so, except by `whole`.
        """
        everything = "".join((*self.before, *self.switch, *self.after))
        if limit is None or len(everything) <= limit:
            return [everything] if everything else []
        return [text for groups in (self.before, self.switch, self.after) for text in _packed(groups, limit)]


def _packed(groups: Iterable[str], limit: int) -> Iterator[str]:
    """Groups together as long as they fit; one too long alone goes line by line, unless its lines are nested."""
    text = ""
    for group in groups:
        parts = [group] if len(group) <= limit or "{\n" in group else group.splitlines(keepends=True)
        for part in parts:
            if text and len(text) + len(part) > limit:
                yield text
                text = ""
            text += part
    if text:
        yield text


def whole(base: str, fragments: Iterable[Fragment], shared: Mapping[str, Elements]) -> Commands:
    """The table from nothing, in the place of whatever was there."""
    changed = [(EMPTY, one) for one in fragments]
    additions = {name: SharedChange({}, elements) for name, elements in shared.items()}
    commands = change(changed, additions)
    # One group: a table that was deleted alone would be missing until the next transaction.
    return replace(commands, before=(f"add table {TABLE}\ndelete table {TABLE}\n{base}", *commands.before))


def change(fragments: Iterable[tuple[Fragment, Fragment]], shared: Mapping[str, SharedChange]) -> Commands:
    """What leads from the first of each pair to the second, in an order that never refers to what is not there."""
    pairs = list(fragments)
    before = [line for old, new in pairs for line in _declarations(old, new)]
    before += [line for old, new in pairs for line in _added_elements(old, new)]
    before += [line for old, new in pairs for line in _rules_of_new_chains(old, new)]
    # A pod that may be chosen must be known here: the way to itself needs another source.
    hairpin = shared.get(HAIRPIN, SharedChange({}, {}))
    before += _elements(HAIRPIN, {}, hairpin.added)
    switch = [group for old, new in pairs for group in _changed_chains(old, new)]
    maps = {name: one for name, one in shared.items() if name != HAIRPIN}
    switch += [group for name, one in maps.items() for group in _elements(name, one.removed, one.added)]
    switch += [group for old, new in pairs for group in _changed_elements(old, new)]
    after = [line for old, new in pairs for line in _emptied_chains(old, new)]
    after += [line for old, new in pairs for line in _removed_elements(old, new)]
    after += [line for old, new in pairs for line in _endings(old, new)]
    after += _elements(HAIRPIN, hairpin.removed, {})
    return Commands(tuple(before), tuple(switch), tuple(after))


def _declarations(old: Fragment, new: Fragment) -> Iterator[str]:
    for name, one in new.collections.items():
        if name not in old.collections:
            yield f"add {one.kind} {TABLE} {name} {{ {one.definition} }}\n"
    for name in new.chains:
        if name not in old.chains:
            yield f"add chain {TABLE} {name}\n"


def _rules_of_new_chains(old: Fragment, new: Fragment) -> Iterator[str]:
    for name, rules in new.chains.items():
        if name not in old.chains:
            yield from (f"add rule {TABLE} {name} {rule}\n" for rule in rules)


def _changed_chains(old: Fragment, new: Fragment) -> Iterator[str]:
    for name, rules in new.chains.items():
        if name in old.chains and old.chains[name] != rules:
            lines = (f"flush chain {TABLE} {name}\n", *(f"add rule {TABLE} {name} {rule}\n" for rule in rules))
            yield "".join(lines)


def _added_elements(old: Fragment, new: Fragment) -> Iterator[str]:
    """A Service's own maps are numbers to endpoints: a rule asks for a new number only when it has changed too."""
    for name, one in new.collections.items():
        known = _known(old, name)
        yield from _elements(name, {}, {key: value for key, value in one.elements.items() if key not in known})


def _changed_elements(old: Fragment, new: Fragment) -> Iterator[str]:
    for name, one in new.collections.items():
        known = _known(old, name)
        keys = [key for key, value in one.elements.items() if key in known and known[key] != value]
        yield from _elements(name, {key: known[key] for key in keys}, {key: one.elements[key] for key in keys})


def _removed_elements(old: Fragment, new: Fragment) -> Iterator[str]:
    for name, one in new.collections.items():
        gone = {key: value for key, value in _known(old, name).items() if key not in one.elements}
        yield from _elements(name, gone, {})


def _known(old: Fragment, name: str) -> Elements:
    return old.collections[name].elements if name in old.collections else {}


def _emptied_chains(old: Fragment, new: Fragment) -> Iterator[str]:
    """Rules go before what they refer to: numbers and sets."""
    yield from (f"flush chain {TABLE} {name}\n" for name in old.chains if name not in new.chains)


def _endings(old: Fragment, new: Fragment) -> Iterator[str]:
    for name, one in old.collections.items():
        if name not in new.collections:
            yield f"delete {one.kind} {TABLE} {name}\n"
    yield from (f"delete chain {TABLE} {name}\n" for name in old.chains if name not in new.chains)


def _elements(name: str, removed: Elements, added: Elements) -> Iterator[str]:
    """A key that changes its value goes and comes in one group."""
    keys = list({**removed, **added})
    for start in range(0, len(keys), _LINE):
        some = keys[start : start + _LINE]
        lines = []
        for verb, elements in (("delete", removed), ("add", added)):
            words = [f"{key} : {elements[key]}" if elements[key] else key for key in some if key in elements]
            if words:
                lines.append(f"{verb} element {TABLE} {name} {{ {', '.join(words)} }}\n")
        yield "".join(lines)
