"""`kubinet get --watch`: the kind's rows as they are and then each change, until ctrl-C."""

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, TypeAlias

from kubinet.cli.getting import Query, TableView, object_text
from kubinet.cli.printers import is_table, items_of
from kubinet.errors import UsageError

if TYPE_CHECKING:
    from kubinet.cli.selection import Selected
    from kubinet.client import Client

Object: TypeAlias = dict[str, Any]


def watch(client: "Client", query: Query, *, only_changes: bool = False) -> int:
    """Print the present objects, then changes; returns when the server ends the watch, the exit status."""
    query.check()
    if len(query.selected) != 1 or len(query.selected[0].names) > 1:
        raise UsageError("--watch follows one kind or one object; name a single KIND or KIND/NAME")
    one = query.selected[0]
    headers = {}
    if is_table(query.output):
        from kubinet.client import TABLE

        headers["Accept"] = TABLE
    path = one.resource.path(query.scope.of(one.resource))
    parameters = query.parameters()
    if one.names:
        parameters["fieldSelector"] = f"metadata.name={one.names[0]}"
        client.raw("GET", f"{path}/{one.names[0]}")
    first = client.raw("GET", path, headers=headers, params=parameters).json()
    view = TableView(query, one.resource, first) if is_table(query.output) else None
    if not only_changes:
        _show(query, one, view, first)
    parameters |= {"watch": "true", "resourceVersion": first["metadata"]["resourceVersion"]}
    for event in _events(client, path, headers, parameters):
        _show(query, one, view, event)
    return 0


def _show(query: Query, one: "Selected", view: TableView | None, data: Object) -> None:
    if view is not None:
        if data["rows"]:
            sys.stdout.write(view.text(data["rows"]))
    else:
        defaults = {"apiVersion": one.resource.group_version, "kind": one.resource.kind}
        sys.stdout.write("".join(object_text(query, one.resource, defaults | item) for item in items_of(data)))
    sys.stdout.flush()


def _events(client: "Client", path: str, headers: dict[str, str], parameters: dict[str, str]) -> Iterator[Object]:
    """The objects (or Tables) of a watch's events. Chunks are read as they come: an event must not wait in a buffer."""
    from kubinet.client import watch_events

    with client.raw("GET", path, headers=headers, params=parameters, stream=True, timeout=(30.0, None)) as response:
        for event in watch_events(response):
            if event.type != "BOOKMARK":
                yield event.object
