"""`metadata.managedFields`: what each manager owns, after every kind of write; conflicts of server-side apply.

Source: https://kubernetes.io/docs/reference/using-api/server-side-apply/
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, Literal

import orjson

from controller.api import times
from controller.api.managed.fieldsets import (
    Path,
    Tree,
    discard,
    from_members,
    has,
    insert,
    members,
    text,
    valid,
    with_parents,
)
from controller.api.managed.typed import Type, check_items, compare, fields, merge, remove
from controller.api.status import Cause, Object, StatusError

Operation = Literal["Apply", "Update"]
APPLY: Final = "Apply"
UPDATE: Final = "Update"
KUBECTL: Final = "kubectl"
"""The manager of `kubectl apply --server-side`."""
LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"
"""Where client-side apply keeps what it wrote."""
_BEFORE: Final = "before-first-apply"
"""Owns what an object without managedFields has when somebody applies to it first."""
_ANCIENT: Final = "ancient-changes"
_MOST_UPDATERS: Final = 10
"""Entries of updating managers; older ones become one, as upstream."""
_METADATA: Final = "f:metadata"
_SERVERS: Final = (
    *("name", "namespace", "uid", "resourceVersion", "generation", "creationTimestamp", "deletionTimestamp"),
    *("deletionGracePeriodSeconds", "managedFields", "selfLink", "generateName"),
)
_NEVER: Final = frozenset(
    (("f:apiVersion",), ("f:kind",), (_METADATA,), *((_METADATA, f"f:{name}") for name in _SERVERS))
)
"""What names an object or is the server's belongs to nobody."""


@dataclass(frozen=True, slots=True)
class Manager:
    """Who writes, and how."""

    name: str
    operation: Operation
    api_version: str
    subresource: str = ""

    def text(self) -> str:
        """As a conflict names it."""
        where = f' with subresource "{self.subresource}"' if self.subresource else ""
        return f'"{self.name}"{where}' + (f" using {self.api_version}" if self.operation == UPDATE else "")


@dataclass(slots=True)
class Entry:
    """One manager's fields."""

    manager: Manager
    time: str
    tree: Tree


def decode(listed: Any) -> list[Entry] | None:
    """The entries; None when they are not well-formed."""
    if not isinstance(listed, list):
        return None
    found = []
    for item in listed:
        tree = item.get("fieldsV1") or {}
        if item.get("operation") not in (APPLY, UPDATE) or not valid(tree):
            return None
        names = (item.get("manager") or "", item["operation"], item.get("apiVersion") or "")
        found.append(Entry(Manager(*names, item.get("subresource") or ""), item.get("time") or "", _copy(tree)))
    return found


def _copy(value: Any) -> Any:
    return orjson.loads(orjson.dumps(value))


def encode(entries: Iterable[Entry]) -> list[Object]:
    """The wire form; managers without fields are left out."""
    found = []
    for entry in sorted(entries, key=lambda entry: (entry.manager.operation, entry.time, entry.manager.name)):
        if entry.tree:
            manager = entry.manager
            item = {
                "manager": manager.name,
                "operation": manager.operation,
                "apiVersion": manager.api_version,
                "time": entry.time,
                "fieldsType": "FieldsV1",
                "fieldsV1": entry.tree,
            }
            found.append(item | ({"subresource": manager.subresource} if manager.subresource else {}))
    return found


def _ours(path: Path, ignored: str) -> bool:
    return path not in _NEVER and path[0] != ignored


def _ignored(subresource: str, has_status: bool) -> str:
    """The part of the object that a write to this (sub)resource leaves alone."""
    if subresource == "status":
        return "f:spec"
    return "f:status" if has_status else ""


def record(old: Object | None, new: Object, kind: Type, manager: Manager, *, has_status: bool) -> None:
    """Write the managedFields of an object that `manager` created or updated, in place.

    A client may edit managedFields itself; what is not well-formed, or left out, counts as unchanged.
    """
    before = (old or {}).get("metadata", {}).get("managedFields") or []
    given = new["metadata"].pop("managedFields", None)
    entries = [] if given == [{}] else decode(given) if given else None
    if entries is None:
        entries = decode(before) or []
    found = compare(_plain(old or {}), new, kind)
    ignored = _ignored(manager.subresource, has_status)
    changed = [path for path in found.changed if _ours(path, ignored)]
    removed = [path for path in found.removed if _ours(path, ignored)]
    own = next((entry for entry in entries if entry.manager == manager), None)
    if own is None and changed:
        own = Entry(manager, "", {})
        entries.append(own)
    for entry in entries:
        for path in removed if entry is own else [*changed, *removed]:
            discard(entry.tree, path)
    if own is not None and changed:
        for path in changed:
            insert(own.tree, path)
        own.time = times.now()
    listed = encode(_capped(entries))
    if listed:
        new["metadata"]["managedFields"] = listed


def _plain(obj: Object) -> Object:
    metadata = obj.get("metadata")
    if not metadata or "managedFields" not in metadata:
        return obj
    return obj | {"metadata": {key: value for key, value in metadata.items() if key != "managedFields"}}


def _capped(entries: list[Entry]) -> list[Entry]:
    updaters = sorted((e for e in entries if e.tree and e.manager.operation == UPDATE), key=lambda e: e.time)
    surplus = updaters[: max(0, len(updaters) - _MOST_UPDATERS)]
    if not surplus:
        return entries
    surplus = updaters[: len(surplus) + 1]
    paths = {path for entry in surplus for path in members(entry.tree)}
    ancient = Entry(Manager(_ANCIENT, UPDATE, surplus[-1].manager.api_version), surplus[-1].time, from_members(paths))
    return [entry for entry in entries if entry not in surplus] + [ancient]


def apply(
    live: Object | None, wanted: Object, kind: Type, manager: Manager, *, force: bool, has_status: bool
) -> Object:
    """The object after `manager` applied `wanted`, with its managedFields; 409 names every conflict.

    What the manager applied before and applies no more is removed, unless another manager owns it too.
    """
    check_items(wanted, kind)
    ignored = _ignored(manager.subresource, has_status)
    now_owned = {path for path in fields(wanted, kind) if _ours(path, ignored)}
    entries = decode((live or {}).get("metadata", {}).get("managedFields") or []) or []
    base = _plain(live or {})
    if live is not None and not entries:
        paths = (path for path in fields(base, kind) if _ours(path, "f:status" if has_status else ""))
        entries.append(Entry(Manager(_BEFORE, UPDATE, manager.api_version), times.now(), from_members(paths)))
    own = next((entry for entry in entries if entry.manager == manager), None)
    others = [entry for entry in entries if entry is not own]
    if subtree := ignored[2:]:
        wanted = {key: value for key, value in wanted.items() if key != subtree}
    merged: Object = merge(base, wanted, kind)
    if own is not None:
        merged = _pruned(merged, kind, set(members(own.tree)), now_owned, others)
    changes = compare(base, merged, kind)
    changed = [path for path in changes.changed if _ours(path, "")]
    conflicts = [(entry, path) for entry in others for path in changed if has(entry.tree, path)]
    if conflicts and manager.name == KUBECTL:
        allowed = _last_applied(base, kind)
        conflicts = [(entry, path) for entry, path in conflicts if path not in allowed]
    if conflicts and not force:
        raise _conflict(conflicts)
    for entry in others:
        for path in [*changed, *changes.removed]:
            discard(entry.tree, path)
    tree = from_members(now_owned)
    time = own.time if own is not None and own.tree == tree and not changed and not changes.removed else times.now()
    # The stored version shares nothing with its successor.
    result: Object = _copy(merged)
    listed = encode([*others, Entry(manager, time, tree)])
    result.setdefault("metadata", {}).pop("managedFields", None)
    annotations = result["metadata"].get("annotations") or {}
    if manager.name == KUBECTL and LAST_APPLIED in annotations:
        annotations[LAST_APPLIED] = json.dumps(wanted, separators=(",", ":"), sort_keys=True) + "\n"
    if listed:
        result["metadata"]["managedFields"] = listed
    return result


def _pruned(merged: Object, kind: Type, before: set[Path], now: set[Path], others: list[Entry]) -> Object:
    kept = with_parents(now | {path for entry in others for path in members(entry.tree)})
    gone = with_parents(before) - kept - _NEVER
    return remove(merged, kind, from_members(gone)) if gone else merged


def _last_applied(live: Object, kind: Type) -> set[Path]:
    """What client-side apply set and nobody changed since: kubectl may take it over, as upstream lets it."""
    try:
        last = json.loads(live["metadata"]["annotations"][LAST_APPLIED])
    except (KeyError, TypeError, ValueError):
        return set()
    if not isinstance(last, dict):
        return set()
    return set(fields(last, kind)) - set(compare(last, live, kind).changed)


def _conflict(conflicts: list[tuple[Entry, Path]]) -> StatusError:
    causes = []
    told: dict[str, list[str]] = {}
    for entry, path in conflicts:
        who = entry.manager.text()
        causes.append(Cause("FieldManagerConflict", f"conflict with {who}", text(path)).to_json())
        told.setdefault(who, []).append(text(path))
    if len(conflicts) == 1:
        ((who, paths),) = told.items()
        message = f"Apply failed with 1 conflict: conflict with {who}: {paths[0]}"
    else:
        parts = [line for who in sorted(told) for line in (f"conflicts with {who}:", *(f"- {p}" for p in told[who]))]
        message = f"Apply failed with {len(conflicts)} conflicts: " + "\n".join(parts)
    return StatusError(409, "Conflict", message, {"causes": causes})
