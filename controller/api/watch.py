"""Watches: what happened since a resourceVersion, then what happens; bursts leave in one write."""

import asyncio
from collections import deque
from dataclasses import dataclass, field
from typing import Final

import orjson
from aiohttp import web

from controller.api import tables
from controller.api.registry import Kind
from controller.api.request import Request
from controller.api.selectors import Predicate, predicate
from controller.api.status import Object, bad_request
from controller.api.store import Change, EventType, Store, Stored

BOOKMARK_SECONDS: Final = 60.0
_QUEUE_LIMIT: Final = 20_000
"""Changes that a slow watcher may fall behind; then its watch ends and it lists again."""
_INITIAL_END: Final = "k8s.io/initial-events-end"


@dataclass(slots=True)
class _Encoder:
    """Changes as lines of one watch: JSON from the stored bytes, or a table of one row."""

    kind: Kind
    table: bool
    include: str
    selected: Predicate | None
    headers: bool = True

    def line(self, change: Change) -> bytes:
        """The event that this watch sees, empty when it sees none: entering and leaving a selection are events too."""
        event: EventType = change.type
        shown = change.new
        if self.selected is not None:
            now = change.type != "DELETED" and self.selected(change.new.object)
            before = change.old is not None and self.selected(change.old.object)
            if not now and not before:
                return b""
            event = "DELETED" if not now else "MODIFIED" if before else "ADDED"
            if event == "DELETED" and change.type != "DELETED" and change.old is not None:
                # The last state that was selected, at the version that ended it (as upstream).
                left = change.old.copy()
                left["metadata"]["resourceVersion"] = str(change.version)
                shown = Stored(left, orjson.dumps(left), change.version)
        return self.event(event, shown)

    def event(self, event: str, stored: Stored) -> bytes:
        if not self.table:
            return b'{"type":"%b","object":%b}\n' % (event.encode(), stored.encoded)
        metadata = {"resourceVersion": stored.object["metadata"]["resourceVersion"]}
        rows = tables.table(self.kind, [stored], metadata, self.include, headers=self.headers)
        self.headers = False
        return orjson.dumps({"type": event, "object": rows}) + b"\n"

    def bookmark(self, version: int, *, initial_end: bool = False) -> bytes:
        metadata: Object = {"resourceVersion": str(version), "creationTimestamp": None}
        if initial_end:
            metadata["annotations"] = {_INITIAL_END: "true"}
        if self.table:
            marked = Stored({"metadata": metadata}, b"", version)
            empty = {"kind": "Table", "apiVersion": "meta.k8s.io/v1", "columnDefinitions": []}
            partial = {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": metadata}
            rows = [{"cells": [""] * len(self.kind.columns), "object": partial}]
            table = {**empty, "metadata": {"resourceVersion": str(marked.version)}, "rows": rows}
            return orjson.dumps({"type": "BOOKMARK", "object": table}) + b"\n"
        obj = {"kind": self.kind.kind, "apiVersion": self.kind.group_version, "metadata": metadata}
        return orjson.dumps({"type": "BOOKMARK", "object": obj}) + b"\n"


@dataclass(slots=True)
class _Queue:
    """Changes that wait for the watch's next write."""

    namespace: str
    changes: deque[Change] = field(default_factory=deque)
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    overflow: bool = False

    def put(self, change: Change) -> None:
        if self.namespace and change.key[0] != self.namespace:
            return
        if len(self.changes) >= _QUEUE_LIMIT:
            self.overflow = True
        else:
            self.changes.append(change)
        self.ready.set()


def _initial(store: Store, request: Request, encoder: _Encoder, version: int) -> list[bytes]:
    kind, namespace = request.target.kind, request.target.namespace
    if version == 0:
        found = store.select(kind.key, namespace)
        if encoder.selected is not None:
            found = [stored for stored in found if encoder.selected(stored.object)]
        lines = [encoder.event("ADDED", stored) for stored in found]
    else:
        changes = store.since(kind.key, version)
        lines = [encoder.line(change) for change in changes if not namespace or change.key[0] == namespace]
    if request.flag("sendInitialEvents"):
        lines.append(encoder.bookmark(store.version, initial_end=True))
    return lines


def _version(request: Request) -> int:
    text = request.query.get("resourceVersion", "") or "0"
    if not text.isdigit():
        raise bad_request(f'resourceVersion: Invalid value: "{text}": it is a decimal number')
    if request.flag("sendInitialEvents"):
        return 0
    return int(text)


async def serve(store: Store, request: Request) -> web.StreamResponse:
    """Answer one watch until its timeout or the client's end."""
    kind = request.target.kind
    selected = predicate(request.label_selector(), request.field_selector())
    accept = request.http.headers.get("Accept", "")
    encoder = _Encoder(kind, tables.wanted(accept), request.query.get("includeObject", "Metadata"), selected)
    queue = _Queue(request.target.namespace)
    # No await between the look into the history and the subscription: nothing is lost or seen twice.
    lines = _initial(store, request, encoder, _version(request))
    stop = store.listen(kind.key, queue.put)
    response = web.StreamResponse(headers={"Content-Type": "application/json", "Cache-Control": "no-cache, private"})
    loop = asyncio.get_running_loop()
    seconds = request.number("timeoutSeconds")
    deadline = loop.time() + seconds if seconds else None
    try:
        await response.prepare(request.http)
        await response.write(b"".join(lines))
        await _stream(store, queue, encoder, response, request.flag("allowWatchBookmarks"), deadline)
    except ConnectionError:
        pass  # the client left
    finally:
        stop()
    return response


async def _stream(
    store: Store,
    queue: _Queue,
    encoder: _Encoder,
    response: web.StreamResponse,
    bookmarks: bool,
    deadline: float | None,
) -> None:
    loop = asyncio.get_running_loop()
    while not queue.overflow:
        wait = BOOKMARK_SECONDS if deadline is None else min(BOOKMARK_SECONDS, deadline - loop.time())
        if wait <= 0:
            if bookmarks:
                await response.write(encoder.bookmark(store.version))
            return
        timer = loop.call_later(wait, queue.ready.set)
        await queue.ready.wait()
        timer.cancel()
        queue.ready.clear()
        if queue.changes:
            lines = [encoder.line(change) for change in queue.changes]
            queue.changes.clear()
            if text := b"".join(lines):
                await response.write(text)
        elif bookmarks and (deadline is None or loop.time() < deadline):
            await response.write(encoder.bookmark(store.version))
