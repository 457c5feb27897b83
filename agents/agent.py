"""One node's agent: a thread that sets its node up, watches over its Open vSwitch and realises its pods.

Level-triggered: whatever happens — a changed pod, an ended container or daemon, a timer — only wakes the loop, and the
loop compares what should be with what is.
"""

import contextlib
import logging
import os
import select
import selectors
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any, Final

from agents import conntrack
from agents.events import EventRecorder, Subject
from agents.feed import Feed
from agents.machine import memory_of
from agents.node_object import Machine, conditions, node_object, node_status
from agents.node_setup import NodeSwitch, set_up_node
from agents.ovsdaemons import SwitchHome
from agents.ovsrpc import Appctl
from agents.podrecord import PodTools
from agents.pods import PodManager
from kubinet.client import Client
from kubinet.errors import ApiError, DeadlineError, KubinetError
from kubinet.netns import of_process
from kubinet.state import ClusterFacts, NodeFacts

_LOG = logging.getLogger(__name__)
_BEAT_SECONDS: Final = 2.0
"""How often an idle agent shows that it lives."""
_HEARTBEAT_SECONDS: Final = 60.0
"""How often the Node's conditions get a new heartbeat time."""
_RETRY_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class Common:
    """What the agents of all nodes share."""

    facts: ClusterFacts
    run_dir: Path
    log_dir: Path
    empty_database: Path
    machine: Machine
    client: Client
    feed: Feed
    events: EventRecorder
    pods: PodTools


class NodeAgent:
    """The agent of one node. `start` and `stop` may be called again; OVS and pods live on in between."""

    def __init__(self, common: Common, node: NodeFacts) -> None:
        self.node = node
        self._common = common
        self._client = common.client.clone()
        self._wakeup = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._stopping = False
        self._started = threading.Event()
        self._failure: BaseException | None = None
        self._thread: threading.Thread | None = None
        self._switch: NodeSwitch | None = None
        self._pods: PodManager | None = None
        self._conditions: list[dict[str, Any]] = []
        self._next_heartbeat = 0.0
        self._departed: set[IPv4Address] = set()
        self.last_beat = time.monotonic()
        """When the loop last came round (time.monotonic)."""
        self.switch_restarts = 0

    # For other threads

    @property
    def running(self) -> bool:
        """Whether the agent's thread lives and is not about to end."""
        return self._thread is not None and self._thread.is_alive() and not self._stopping

    def start(self) -> None:
        """Start the thread; returns at once."""
        self._stopping = False
        self._failure = None
        self._started.clear()
        self._thread = threading.Thread(target=self._run, name=f"agent-{self.node.name}", daemon=True)
        self._thread.start()

    def wait_started(self, timeout: float) -> None:
        """Wait until the node is set up and registered; raises what hindered it, or DeadlineError."""
        if not self._started.wait(timeout):
            raise DeadlineError(f"node {self.node.name}: not set up in {timeout:g} s; see agents.log")
        if self._failure is not None:
            raise self._failure

    def stop(self, timeout: float) -> None:
        """End the thread; DeadlineError when it does not end in time."""
        self._stopping = True
        self.wake()
        if self._thread is not None:
            self._thread.join(timeout)
            if self._thread.is_alive():
                raise DeadlineError(f"node {self.node.name}: its agent did not stop in {timeout:g} s")

    def wake(self) -> None:
        """Look again."""
        with contextlib.suppress(BlockingIOError):
            os.eventfd_write(self._wakeup, 1)

    def control(self) -> Appctl:
        """A control connection to the node's ovs-vswitchd; KubinetError while it is down."""
        return self._switch_now().appctl()

    def stats(self) -> Mapping[str, object]:
        """Numbers of this node, for people."""
        switch = self._switch
        pids = [daemon.pid for daemon in switch.daemons] if switch is not None else []
        return {
            "running": self.running,
            "switchMemory": memory_of(pids),
            "switchPids": pids,
            "switchRestarts": self.switch_restarts,
            "setupSeconds": dict(switch.timings) if switch is not None else {},
            "pods": self._pods.count if self._pods is not None else 0,
        }

    # The thread

    def _run(self) -> None:
        name = self.node.name
        try:
            self._set_up()
            self._report_ready()
            self._pods = PodManager(self._common.pods, self._client, self.node, self._switch_now)
            self._common.feed.subscribe(name, self.wake)
        except BaseException as error:
            self._failure = error
            self._let_go()
            return
        finally:
            self._started.set()
        try:
            while not self._stopping:
                self._once()
        finally:
            self._common.feed.unsubscribe(name)
            self._let_go()

    def _let_go(self) -> None:
        if self._pods is not None:
            self._pods.close()
            self._pods = None
        if self._switch is not None:
            self._switch.close()
            self._switch = None

    def _once(self) -> None:
        """One round: look after Open vSwitch, the pods and the heartbeat, then wait for the next reason."""
        wait = _BEAT_SECONDS
        try:
            self._look_after_switch()
            if time.monotonic() >= self._next_heartbeat:
                self._report_ready()
                self._switch_now().database.refresh()
            self._forget_connections()
            assert self._pods is not None
            common = self._common
            wait = self._pods.reconcile(common.feed.pods(self.node.name), common.feed.generation(self.node.name))
        except KubinetError as error:
            _LOG.warning("node %s: %s; trying again", self.node.name, error)
            wait = _RETRY_SECONDS
        except Exception:
            _LOG.exception("node %s: a defect in the agent; trying again", self.node.name)
            wait = _RETRY_SECONDS
        self.last_beat = time.monotonic()
        self._wait(min(wait, _BEAT_SECONDS))

    def _wait(self, seconds: float) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._wakeup, selectors.EVENT_READ)
            for daemon in self._switch.daemons if self._switch is not None else ():
                selector.register(daemon.pidfd, selectors.EVENT_READ)
            selector.select(max(0.0, seconds))
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._wakeup)

    def _switch_now(self) -> NodeSwitch:
        if self._switch is None:
            raise KubinetError(f"node {self.node.name}: its Open vSwitch is down")
        return self._switch

    # Open vSwitch

    def _set_up(self) -> None:
        name = self.node.name
        home = SwitchHome(name, self._common.run_dir / "nodes" / name, self._common.log_dir, of_process(self.node.pid))
        self._switch = set_up_node(self._common.facts, self.node, home, self._common.empty_database)

    def _look_after_switch(self) -> None:
        """Bring Open vSwitch back when one of its daemons ended."""
        switch = self._switch
        if switch is not None:
            ended = [daemon for daemon in switch.daemons if _ended(daemon.pidfd)]
            if not ended:
                return
            names = " and ".join(daemon.name for daemon in ended)
            message = f"{names} of node {self.node.name} ended; see {switch.home.log_dir}"
            _LOG.warning("%s; starting again", message)
            self._tell("Warning", "OpenVSwitchEnded", message)
            switch.close()
            self._switch = None
            self._report(ready=False, reason="OpenVSwitchEnded", message=message)
        self._set_up()
        self.switch_restarts += 1
        self._tell("Normal", "OpenVSwitchStarted", f"Open vSwitch of node {self.node.name} runs again")
        self._report_ready()

    def _forget_connections(self) -> None:
        """Forget connections with pods that are gone, of all nodes; before pods that have their addresses start."""
        self._departed |= self._common.feed.take_departed(self.node.name)
        if self._departed:
            with self._switch_now().appctl() as appctl:
                conntrack.forget(appctl, self._departed)
            self._departed.clear()

    # The Node object

    def _report_ready(self) -> None:
        self._report(ready=True, reason="AgentReady", message="the node's agent and Open vSwitch are running")

    def _report(self, *, ready: bool, reason: str, message: str) -> None:
        name = self.node.name
        now = datetime.now(UTC)
        if not self._conditions:
            try:
                found = self._client.get("Node", name)
                self._conditions = found.get("status", {}).get("conditions") or []
            except ApiError as error:
                if error.status != 404:
                    raise
        wanted = conditions(now, self._conditions, ready=ready, reason=reason, message=message)
        machine = self._common.machine
        try:
            if not self._conditions:
                self._register(wanted)
            else:
                status = node_status(self.node, machine, wanted)
                self._client.patch("Node", name, {"status": status}, subresource="status")
        except ApiError as error:
            if error.status != 404:
                raise
            self._register(wanted)  # somebody deleted the Node: it comes back as long as its agent lives
        self._conditions = wanted
        self._next_heartbeat = time.monotonic() + _HEARTBEAT_SECONDS

    def _register(self, wanted: list[dict[str, Any]]) -> None:
        whole = node_object(self.node, self._common.machine, wanted)
        try:
            self._client.create(whole)
        except ApiError as error:
            if error.status != 409:
                raise
            parts = {key: whole[key] for key in ("metadata", "spec")}
            self._client.patch("Node", self.node.name, parts)
            self._client.patch("Node", self.node.name, {"status": whole["status"]}, subresource="status")

    def mark_unknown(self, client: Client, message: str) -> None:
        """From another thread, when this agent is silent: condition Ready becomes Unknown."""
        now = datetime.now(UTC)
        entries = conditions(now, self._conditions, ready=False, reason="NodeStatusUnknown", message=message)
        ready = {**entries[1], "status": "Unknown", "lastTransitionTime": entries[1]["lastHeartbeatTime"]}
        kept = [entry for entry in self._conditions if entry["type"] != "Ready"]
        client.patch("Node", self.node.name, {"status": {"conditions": [*kept, ready]}}, subresource="status")
        self._conditions = [*kept, ready]

    def _tell(self, severity: Any, reason: str, message: str) -> None:
        name = self.node.name
        self._common.events.tell(Subject("Node", name, name), name, severity, reason, message)


def _ended(pidfd: int) -> bool:
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(0))
