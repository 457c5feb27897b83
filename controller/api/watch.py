"""Watches: what happened since a resourceVersion, then what happens; bursts leave in one write.

With `changesOf=KIND,…` (Kubinet's own; kinds as `plural.group`) a watch also tells when objects of other kinds changed:
a bookmark whose annotation maps these kinds to the resourceVersion of their last change, in its place in the order of
all changes. Whoever has seen the watch up to version v then knows each kind's last change up to v, and needs nothing
more to know that a copy of that kind is complete.
"""

import asyncio
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

import orjson
from aiohttp import web

from controller.api import registry, tables
from controller.api.registry import Kind
from controller.api.request import Request
from controller.api.selectors import Predicate, predicate
from controller.api.status import Object, bad_request
from controller.api.store import Change, EventType, Store, Stored
from kubinet.kubernetes import CHANGES

BOOKMARK_SECONDS: Final = 60.0
_QUEUE_LIMIT: Final = 20_000
"""Changes that a slow watcher may fall behind; then its watch ends and it lists again."""
_INITIAL_END: Final = "k8s.io/initial-events-end"


@dataclass(frozen=True, slots=True)
class _Mark:
    """An object of another kind changed."""

    kind: str
    version: int


@dataclass(slots=True)
class _Encoder:
    """Changes as lines of one watch: JSON from the stored bytes, or a table of one row."""

    kind: Kind
    table: bool
    include: str
    selected: Predicate | None
    headers: bool = True

    def lines(self, entries: Iterable[Change | _Mark]) -> Iterator[bytes]:
        """What this watch sees of them, in order; marks that stand side by side are one bookmark."""
        changes: dict[str, int] = {}
        for entry in entries:
            if isinstance(entry, _Mark):
                changes[entry.kind] = entry.version
                continue
            if changes:
                yield self.changes(changes)
                changes = {}
            yield self.line(entry)
        if changes:
            yield self.changes(changes)

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

    def changes(self, changes: Mapping[str, int], version: int = 0) -> bytes:
        """The bookmark that tells the last changes of other kinds; of the last of them, or of a later version."""
        told = orjson.dumps(changes).decode()
        return self.bookmark(max(version, *changes.values()), {CHANGES: told})

    def bookmark(self, version: int, annotations: Mapping[str, str] | None = None) -> bytes:
        metadata: Object = {"resourceVersion": str(version), "creationTimestamp": None}
        if annotations:
            metadata["annotations"] = annotations
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
    entries: deque[Change | _Mark] = field(default_factory=deque)
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    over: bool = False
    """Nothing more will come: too much waited, or the API ends."""

    def put(self, change: Change) -> None:
        """A change of the watch's own kind."""
        if not self.namespace or change.key[0] == self.namespace:
            self._append(change)

    def mark(self, change: Change) -> None:
        """A change of a kind that the watch only marks."""
        self._append(_Mark(change.kind, change.version))

    def _append(self, entry: Change | _Mark) -> None:
        if len(self.entries) >= _QUEUE_LIMIT:
            self.over = True
        else:
            self.entries.append(entry)
        self.ready.set()

    def end(self) -> None:
        """The watch ends after what waits."""
        self.over = True
        self.ready.set()

    def take(self, encoder: _Encoder) -> bytes:
        """Everything that waits, as the watch's lines."""
        text = b"".join(encoder.lines(self.entries))
        self.entries.clear()
        return text


def _initial(store: Store, request: Request, encoder: _Encoder, version: int, marked: Iterable[str]) -> list[bytes]:
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
        lines.append(encoder.bookmark(store.version, {_INITIAL_END: "true"}))
    if last := {key: store.changed(key) for key in marked}:
        lines.append(encoder.changes(last, store.version))
    return lines


def _marked(request: Request) -> list[str]:
    """The kinds whose changes the watch tells, as keys of the store."""
    keys = [key for key in request.query.get("changesOf", "").split(",") if key]
    for key in keys:
        if registry.by_key(key) is None:
            example = "networkpolicies.networking.k8s.io"
            raise bad_request(f'changesOf: Invalid value: "{key}": no kind of that name is served; write {example}')
    return keys


def _version(request: Request) -> int:
    text = request.query.get("resourceVersion", "") or "0"
    if not text.isdigit():
        raise bad_request(f'resourceVersion: Invalid value: "{text}": it is a decimal number')
    if request.flag("sendInitialEvents"):
        return 0
    return int(text)


async def serve(store: Store, request: Request) -> web.StreamResponse:
    """Answer one watch until its timeout, the client's end or the API's."""
    kind = request.target.kind
    selected = predicate(request.label_selector(), request.field_selector())
    accept = request.http.headers.get("Accept", "")
    encoder = _Encoder(kind, tables.wanted(accept), request.query.get("includeObject", "Metadata"), selected)
    queue = _Queue(request.target.namespace)
    # No await between the look into the history and the subscription: nothing is lost or seen twice.
    marked = _marked(request)
    lines = _initial(store, request, encoder, _version(request), marked)
    stops = [store.listen(kind.key, queue.put), *(store.listen(key, queue.mark) for key in marked)]
    stops.append(store.at_end(queue.end))
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
        for stop in stops:
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
    while not queue.over:
        wait = BOOKMARK_SECONDS if deadline is None else min(BOOKMARK_SECONDS, deadline - loop.time())
        if wait <= 0:
            # What came with the deadline goes first: the bookmark says that everything up to it was seen.
            text = queue.take(encoder) + (encoder.bookmark(store.version) if bookmarks else b"")
            if text:
                await response.write(text)
            return
        timer = loop.call_later(wait, queue.ready.set)
        await queue.ready.wait()
        timer.cancel()
        queue.ready.clear()
        if queue.entries:
            if text := queue.take(encoder):
                await response.write(text)
        elif bookmarks and (deadline is None or loop.time() < deadline):
            await response.write(encoder.bookmark(store.version))
