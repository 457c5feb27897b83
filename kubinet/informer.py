"""A live copy of one kind's objects, level-triggered: an event says only "look again".

One thread lists, then watches from the list's resourceVersion, and lists again when the server says that this is too
old or goes away. Readers take a snapshot; nobody is called with an event's content, so nobody depends on seeing all.
"""

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from kubinet.client import Client, Object
from kubinet.errors import ApiError, DeadlineError, KubinetError

_LOG = logging.getLogger(__name__)
_RETRY_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class View:
    """What an informer knows at one moment."""

    objects: Mapping[str, Object]
    version: int
    """The resourceVersion up to which the objects are complete."""
    changes: Mapping[str, int] | None
    """Of each kind of `changes_of` the resourceVersion of its last change up to `version`, or of a later one; None
    while it is not known (between a list and the watch that follows)."""


class Informer:
    """Objects of one kind by key (`namespace/name`, or `name` for cluster-scoped kinds)."""

    def __init__(
        self,
        client: Client,
        kind: str,
        *,
        on_change: Callable[[], None] | None = None,
        field_selector: str | None = None,
        changes_of: Sequence[str] = (),
    ) -> None:
        """`changes_of`: other kinds; that one of their objects changed is told in order (`moment`) and is news, too."""
        self._client = client.clone()
        self._kind = kind
        self._on_change = on_change
        self._field_selector = field_selector
        self._changes_of = tuple(changes_of)
        self._changes: dict[str, int] | None = None
        self._lock = threading.Condition()
        self._objects: dict[str, Object] = {}
        self._resource_version = 0
        self._synced = False
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"informer-{kind}", daemon=True)

    def start(self) -> "Informer":
        """Begin; returns at once."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """End the watch; the thread ends with the next event or bookmark."""
        self._stopping.set()
        self._client.close()

    def wait_synced(self, timeout: float) -> None:
        """Wait for the first complete list; DeadlineError after `timeout` seconds."""
        with self._lock:
            if not self._lock.wait_for(lambda: self._synced, timeout):
                raise DeadlineError(f"informer of {self._kind}: no list from {self._client.url} in {timeout:g} s")

    @property
    def synced(self) -> bool:
        """Whether the first complete list is here."""
        with self._lock:
            return self._synced

    def snapshot(self) -> Mapping[str, Object]:
        """A copy of the map; the objects themselves are shared and must not be changed."""
        with self._lock:
            return dict(self._objects)

    def view(self) -> tuple[Mapping[str, Object], int]:
        """A snapshot and the resourceVersion up to which it is complete, taken together."""
        with self._lock:
            return dict(self._objects), self._resource_version

    def moment(self) -> View:
        """As `view`, with what is known of the kinds in `changes_of`, all taken together."""
        with self._lock:
            changes = None if self._changes is None else dict(self._changes)
            return View(dict(self._objects), self._resource_version, changes)

    @property
    def resource_version(self) -> int:
        """The newest resourceVersion seen, of objects and bookmarks."""
        with self._lock:
            return self._resource_version

    def wait_for(self, condition: Callable[[Mapping[str, Object]], bool], timeout: float) -> bool:
        """Wait until `condition` holds for the objects; False after `timeout` seconds."""
        with self._lock:
            return self._lock.wait_for(lambda: condition(self._objects), timeout)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._list()
                self._watch()
            except ApiError as error:
                if error.status != 410:
                    _LOG.warning("informer of %s: %s; listing again", self._kind, error)
                    self._stopping.wait(_RETRY_SECONDS)
            except KubinetError as error:
                if not self._stopping.is_set():
                    _LOG.warning("informer of %s: %s; trying again", self._kind, error)
                    self._stopping.wait(_RETRY_SECONDS)

    def _list(self) -> None:
        answer = self._client.list(self._kind, field_selector=self._field_selector)
        objects = {_key(item): item for item in answer["items"]}
        with self._lock:
            self._objects = objects
            self._resource_version = int(answer["metadata"]["resourceVersion"])
            self._changes = None  # what happened since the last watch ended, nobody told
            self._synced = True
            self._lock.notify_all()
        self._changed()

    def _watch(self) -> None:
        names = {self._client.resource(kind).key: kind for kind in self._changes_of}
        events = self._client.watch(
            self._kind,
            resource_version=str(self.resource_version),
            field_selector=self._field_selector,
            changes_of=self._changes_of,
        )
        for event in events:
            if self._stopping.is_set():
                return
            metadata = event.object["metadata"]
            told = {names[key]: version for key, version in event.changes().items()}
            with self._lock:
                if told:
                    self._changes = {**(self._changes or {}), **told}
                self._resource_version = max(self._resource_version, int(metadata["resourceVersion"]))
                if event.type == "DELETED":
                    self._objects.pop(_key(event.object), None)
                elif event.type != "BOOKMARK":
                    self._objects[_key(event.object)] = event.object
                self._lock.notify_all()
            self._changed()

    def _changed(self) -> None:
        if self._on_change is not None:
            self._on_change()


def _key(obj: Object) -> str:
    metadata = obj["metadata"]
    namespace = metadata.get("namespace")
    return f"{namespace}/{metadata['name']}" if namespace else str(metadata["name"])
