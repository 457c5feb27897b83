"""Waiting for facts about objects: list, watch from there, list again when the watch ends; never a poll by time."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from kubinet.cli import jsonpath
from kubinet.cli.selection import Target
from kubinet.errors import ApiError, UsageError

if TYPE_CHECKING:
    from kubinet.client import Client

Object: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Condition:
    """What `--for` asks of an object; `holds` is given None for an object that does not exist."""

    text: str
    holds: Callable[[Object | None], bool]
    seen: Callable[[Object | None], str]
    """What to say was seen last, for the message at the deadline."""


def parse_condition(text: str) -> Condition:
    """`condition=Ready[=True]`, `delete`, `create` or `jsonpath='{.a.b}'[=value]`; UsageError lists these forms."""
    kind, _, rest = text.partition("=")
    if text == "delete":
        return Condition(text, lambda obj: obj is None, _existence)
    if text == "create":
        return Condition(text, lambda obj: obj is not None, _existence)
    if kind == "condition" and rest:
        name, _, value = rest.partition("=")
        return _status_condition(text, name, value or "True")
    if kind == "jsonpath" and rest:
        return _path_condition(text, rest)
    raise UsageError(f"--for {text!r}: write condition=NAME[=VALUE], delete, create or jsonpath='{{PATH}}'[=VALUE]")


def _existence(obj: Object | None) -> str:
    if obj is None:
        return "it does not exist"
    deletion = obj["metadata"].get("deletionTimestamp")
    return f"it is being deleted since {deletion}" if deletion else "it exists"


def _status_condition(text: str, name: str, wanted: str) -> Condition:
    def find(obj: Object | None) -> Object | None:
        conditions = ((obj or {}).get("status") or {}).get("conditions") or ()
        return next((one for one in conditions if one.get("type", "").lower() == name.lower()), None)

    def holds(obj: Object | None) -> bool:
        found = find(obj)
        if obj is None or found is None:
            return False
        observed, generation = found.get("observedGeneration"), obj["metadata"].get("generation")
        stale = observed is not None and generation is not None and observed < generation
        return not stale and str(found.get("status", "")).lower() == wanted.lower()

    def seen(obj: Object | None) -> str:
        found = find(obj)
        if obj is None:
            return "it does not exist"
        if found is None:
            return f"it has no condition {name}"
        reason = ": ".join(str(found[key]) for key in ("reason", "message") if found.get(key))
        return f"{found['type']} is {found['status']}" + (f" ({reason})" if reason else "")

    return Condition(text, holds, seen)


def _path_condition(text: str, rest: str) -> Condition:
    if rest.startswith("{"):
        end = rest.rfind("}")
        path, tail = rest[: end + 1], rest[end + 1 :]
        value = tail[1:] if tail.startswith("=") else None
        if end < 0 or (tail and value is None):
            raise UsageError(f"--for {text!r}: write jsonpath='{{.status.phase}}'=Running")
    else:
        path, separator, value_text = rest.partition("=")
        value = value_text if separator else None
    jsonpath.find(path, {})

    def holds(obj: Object | None) -> bool:
        values = [jsonpath.printed(one) for one in jsonpath.find(path, obj)] if obj is not None else []
        return bool(values) and (value is None or values == [value])

    def seen(obj: Object | None) -> str:
        if obj is None:
            return "it does not exist"
        values = [jsonpath.printed(one) for one in jsonpath.find(path, obj)]
        return f"{path} is {', '.join(values)!r}" if values else f"it has no {path}"

    return Condition(text, holds, seen)


def wait_for(
    client: "Client", target: Target, holds: Callable[[Object | None], bool], deadline: float | None
) -> tuple[bool, Object | None]:
    """Whether `holds` came true before `deadline` (time.monotonic(); None waits for ever), and the object seen last."""
    last: Object | None = None
    for last in versions(client, target, deadline):
        if holds(last):
            return True, last
    return False, last


def versions(client: "Client", target: Target, deadline: float | None) -> Iterator[Object | None]:
    """The object as it is and each time it changes, None while it does not exist; at least once, until the deadline."""
    resource = target.resource
    word = f"{resource.plural}.{resource.group}" if resource.group else resource.plural
    selector = f"metadata.name={target.name}"
    while True:
        listing = client.list(word, target.namespace, field_selector=selector)
        items = listing["items"]
        defaults = {"apiVersion": resource.group_version, "kind": resource.kind}
        yield defaults | items[0] if items else None
        remaining = None if deadline is None else deadline - time.monotonic()
        if remaining is not None and remaining <= 0:
            return
        try:
            events = client.watch(
                word,
                target.namespace,
                resource_version=listing["metadata"]["resourceVersion"],
                field_selector=selector,
                timeout=remaining,
            )
            for event in events:
                if event.type != "BOOKMARK":
                    yield None if event.type == "DELETED" else event.object
                if deadline is not None and time.monotonic() >= deadline:
                    return
        except ApiError as error:
            if error.status != 410:
                raise
