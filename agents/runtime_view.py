"""What the container runtime holds, kept up to date by its events, for all nodes' agents.

The runtime's `list` speaks of every sandbox of the cluster, so it is read once and after each interruption; in between,
the answers to our own calls and the stream of exits say what changed.
"""

import itertools
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from kubinet.cri import (
    ContainerExit,
    ContainerPhase,
    ContainerSpec,
    ContainerStatus,
    EventStream,
    RuntimeClient,
    SandboxInfo,
    SandboxSpec,
)
from kubinet.errors import KubinetError

_LOG = logging.getLogger(__name__)
_RETRY_SECONDS: Final = 0.2
_versions = itertools.count(1)


@dataclass(slots=True)
class SandboxView:
    """A sandbox, the last attempt of each container, and the attempt before it where we saw it end."""

    info: SandboxInfo
    containers: dict[str, ContainerStatus] = field(default_factory=dict)
    previous: dict[str, ContainerStatus] = field(default_factory=dict)
    version: int = 0
    """Changes whenever something of the above does."""

    def update(self, status: ContainerStatus) -> None:
        """Take in what is newer than what we know; an end is never taken back."""
        self.version = next(_versions)
        known = self.containers.get(status.name)
        if known is not None:
            if status.attempt < known.attempt:
                return
            if status.attempt == known.attempt and known.phase is ContainerPhase.EXITED:
                return
            if status.attempt > known.attempt and known.phase is ContainerPhase.EXITED:
                self.previous[status.name] = known
        self.containers[status.name] = status


class RuntimeView:
    """The runtime's sandboxes by pod uid; calls that change them go through here. For use by many threads."""

    def __init__(self, client: RuntimeClient) -> None:
        self._client = client
        self._lock = threading.Lock()
        self._sandboxes: dict[str, SandboxView] = {}
        self._early: dict[tuple[str, str, int], ContainerExit] = {}
        """Ends that were told before the answer to the start."""
        self._changed: Callable[[str | None], None] = lambda _: None
        self._stopping = threading.Event()
        self._stream: EventStream | None = None
        self._thread = threading.Thread(target=self._run, name="runtime-view", daemon=True)
        self.epoch = 0
        """Goes up with each complete list: containers that are gone then were lost with the runtime."""

    def start(self, changed: Callable[[str | None], None]) -> None:
        """Load everything and follow; `changed(node)` is called after an exit, `changed(None)` after a new list."""
        self._changed = changed
        self._connect()
        self._thread.start()

    def stop(self) -> None:
        """Stop following."""
        self._stopping.set()
        if self._stream is not None:
            self._stream.close()

    def sandboxes_of(self, node: str) -> Mapping[str, SandboxInfo]:
        """The node's sandboxes by pod uid."""
        with self._lock:
            return {uid: view.info for uid, view in self._sandboxes.items() if view.info.node == node}

    def sandbox(self, uid: str) -> SandboxInfo | None:
        """The pod's sandbox."""
        with self._lock:
            view = self._sandboxes.get(uid)
            return view.info if view is not None else None

    def version(self, uid: str) -> int:
        """A number that changes whenever what is known of the pod's sandbox and containers does; 0 without any."""
        with self._lock:
            view = self._sandboxes.get(uid)
            return view.version if view is not None else 0

    def containers(self, uid: str) -> tuple[Mapping[str, ContainerStatus], Mapping[str, ContainerStatus]]:
        """The pod's containers by name: last attempts, and the ended attempts before them."""
        with self._lock:
            view = self._sandboxes.get(uid)
            return (dict(view.containers), dict(view.previous)) if view is not None else ({}, {})

    def create(self, specs: Sequence[SandboxSpec]) -> tuple[SandboxInfo, ...]:
        """Make sandboxes; see `RuntimeClient.create_sandboxes`."""
        made = self._client.create_sandboxes(specs)
        with self._lock:
            for info in made:
                self._take(info)
        return made

    def begin(self, specs: Sequence[ContainerSpec]) -> tuple[ContainerStatus, ...]:
        """Start containers; see `RuntimeClient.start_containers`."""
        begun = self._client.start_containers(specs)
        with self._lock:
            for status in begun:
                view = self._sandboxes.get(status.pod_uid)
                if view is not None:
                    view.update(status)
                    early = self._early.pop((status.pod_uid, status.name, status.attempt), None)
                    if early is not None:
                        view.update(_ended(status, early))
        return begun

    def end(self, uid: str, name: str, grace_seconds: float) -> None:
        """Ask a container to end; see `RuntimeClient.stop_container`."""
        self._client.stop_container(uid, name, grace_seconds)

    def remove(self, uids: Sequence[str], *, keep_logs: bool) -> None:
        """Remove sandboxes; see `RuntimeClient.remove_sandboxes`."""
        self._client.remove_sandboxes(uids, keep_logs=keep_logs)
        with self._lock:
            for uid in uids:
                self._sandboxes.pop(uid, None)

    def _take(self, info: SandboxInfo) -> None:
        view = self._sandboxes.setdefault(info.pod_uid, SandboxView(info))
        view.info = info
        view.version = next(_versions)
        for status in info.containers:
            view.update(status)

    def _connect(self) -> None:
        # Subscribe, then list: what ends in between is in the stream.
        stream = self._client.events()
        try:
            everything = self._client.list()
        except BaseException:
            stream.close()
            raise
        with self._lock:
            present = {info.pod_uid for info in everything}
            for uid in self._sandboxes.keys() - present:
                del self._sandboxes[uid]
            for info in everything:
                old = self._sandboxes.get(info.pod_uid)
                if old is not None and old.info.netns != info.netns:
                    del self._sandboxes[info.pod_uid]  # made anew: nothing of the old one is left
                self._take(info)
            self._early.clear()
            self.epoch += 1
        self._stream = stream

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                if self._stream is None:
                    self._connect()
                    self._changed(None)
                assert self._stream is not None
                for ended in self._stream:
                    self._note(ended)
            except KubinetError as error:
                if not self._stopping.is_set():
                    _LOG.warning("container runtime: %s; connecting again", error)
                    self._stream = None
                    self._stopping.wait(_RETRY_SECONDS)
            else:
                return

    def _note(self, ended: ContainerExit) -> None:
        with self._lock:
            view = self._sandboxes.get(ended.pod_uid)
            if view is None:
                return
            known = view.containers.get(ended.name)
            if known is None or known.attempt < ended.attempt:
                self._early[(ended.pod_uid, ended.name, ended.attempt)] = ended
                return
            if known.attempt == ended.attempt:
                view.update(_ended(known, ended))
            node = view.info.node
        self._changed(node)


def _ended(status: ContainerStatus, ended: ContainerExit) -> ContainerStatus:
    return replace(
        status,
        phase=ContainerPhase.EXITED,
        exit_code=ended.exit_code,
        finished_at=ended.finished_at,
        reason=ended.reason,
        message=ended.message,
    )
