"""Events: what the parts of the cluster noted about objects."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from kubinet.cli.durations import age
from kubinet.cli.printers import list_of, printer
from kubinet.cli.selection import Scope, select_one
from kubinet.cli.table import text_table
from kubinet.errors import UsageError

if TYPE_CHECKING:
    from kubinet.client import Client

Object: TypeAlias = dict[str, Any]


def events(client: "Client", scope: Scope, *, about: str | None = None, types: str | None = None) -> list[Object]:
    """The events in the scope, oldest first; `about` is KIND/NAME, `types` a comma-separated choice."""
    resource = client.resource("events")
    selector = None
    if about is not None:
        if "/" not in about:
            raise UsageError(f"--for {about!r}: write KIND/NAME, such as pod/a")
        kind, name = select_one(client, about)
        selector = f"involvedObject.kind={kind.kind},involvedObject.name={name}"
    wanted = {word.strip().lower() for word in types.split(",")} if types else set()
    if wanted - {"normal", "warning"}:
        raise UsageError(f"--types {types!r}: events are Normal or Warning")
    word = f"events.{resource.group}" if resource.group else "events"
    found = client.list(word, scope.of(resource), field_selector=selector)["items"]
    chosen = [one for one in found if not wanted or str(one.get("type", "")).lower() in wanted]
    return sorted(chosen, key=last_seen)


def last_seen(event: Object) -> str:
    """When the event happened last (RFC 3339), from whichever of the fields is filled."""
    series = event.get("series") or {}
    metadata = event["metadata"]
    moments = (series.get("lastObservedTime"), event.get("lastTimestamp"), event.get("eventTime"))
    return str(next((moment for moment in moments if moment), metadata.get("creationTimestamp") or ""))


def view(output: str | None, *, with_namespace: bool, show_headers: bool) -> Callable[[Sequence[Object]], str]:
    """How to print events: a table, or the objects."""
    if output:
        show = printer(output)
        return lambda found: show(list_of(found))
    headers = ["NAMESPACE"] * with_namespace + ["LAST SEEN", "TYPE", "REASON", "OBJECT", "MESSAGE"]

    def table(found: Sequence[Object]) -> str:
        rows = [[one["metadata"].get("namespace", "")] * with_namespace + _row(one) for one in found]
        return text_table(headers, rows, show_headers=show_headers)

    return table


def _row(event: Object) -> list[object]:
    count = (event.get("series") or {}).get("count") or event.get("count") or 1
    seen = age(last_seen(event))
    if count > 1:
        seen += f" (x{count} over {age(event.get('firstTimestamp') or event['metadata'].get('creationTimestamp'))})"
    about = event.get("involvedObject") or event.get("regarding") or {}
    name = f"{about.get('kind', '')}/{about.get('name', '')}"
    return [seen, event.get("type"), event.get("reason"), name, event.get("message") or event.get("note")]
