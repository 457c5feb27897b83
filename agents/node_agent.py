"""The agents service: hosts every node's agent in one process, and the socket through which they are told things."""

import logging
import signal
import statistics
import threading
import time
from collections.abc import Mapping
from typing import Any, Final

from agents.agent import Common, NodeAgent
from agents.clusterview import ClusterView
from agents.control import ControlServer
from agents.events import EventRecorder
from agents.feed import Feed
from agents.machine import read_machine
from agents.ovsdaemons import create_database
from agents.podrecord import PodTools
from agents.podresolver import cluster_dns
from agents.probes.engine import Prober
from agents.reachability import probe_all_pairs
from agents.runtime_view import RuntimeView
from agents.services.host import ServicesHost
from kubinet import collector
from kubinet.client import Client
from kubinet.cri import RuntimeClient
from kubinet.errors import DeadlineError, KubinetError, UsageError
from kubinet.facts import facts_from_json
from kubinet.liveimages import LiveTable
from kubinet.service import ServiceContext

_LOG = logging.getLogger(__name__)
_START_SECONDS: Final = 120.0
_STOP_SECONDS: Final = 4.0
_GRACE_SECONDS: Final = 15.0
"""How long an agent may be silent before its node's condition Ready becomes Unknown."""
_CHECK_SECONDS: Final = 1.0
_NAMED: Final = 12
"""How many unanswered pairs an error lists."""


def serve(context: ServiceContext) -> None:
    """Run the agents until SIGTERM; ready when every node is set up and registered.

    KubinetError when a node cannot be set up. The nodes' Open vSwitch and pods live on when this ends.
    """
    ending = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ending.set())
    host = AgentHost(context)
    try:
        context.ready(host.start())
        collector.search_rarely()
        while not ending.wait(_CHECK_SECONDS):
            host.check()
    finally:
        host.stop()


class AgentHost:
    """All agents and what they share."""

    def __init__(self, context: ServiceContext) -> None:
        self._context = context
        self._facts = facts_from_json(context.facts_file.read_text())
        self._client = Client(context.api_url, context.token)
        self._feed = Feed(self._client)
        self._cluster = ClusterView(self._client)
        self._events = EventRecorder(self._client)
        runtime = RuntimeClient(context.runtime_socket)
        self._runtime = RuntimeView(runtime)
        self._prober = Prober(runtime, self._events)
        database = context.run_dir / "empty.db"
        common = Common(
            facts=self._facts,
            run_dir=context.run_dir,
            log_dir=context.log_dir(),
            empty_database=database,
            machine=read_machine(),
            client=self._client,
            feed=self._feed,
            events=self._events,
            pods=PodTools(
                self._runtime, self._events, LiveTable(), self._prober, cluster_dns(self._facts), self._cluster
            ),
        )
        self._agents = {node.name: NodeAgent(common, node) for node in self._facts.nodes}
        self._services = ServicesHost(
            self._facts,
            self._client,
            self._feed,
            self._events,
            {name: agent.control for name, agent in self._agents.items()},
        )
        self._silent: set[str] = set()
        self._control: ControlServer | None = None
        if not database.exists():
            create_database(database)

    def start(self) -> Mapping[str, object]:
        """Set up all nodes, in parallel; returns what `kubinet status` shows. Raises the first node's failure."""
        began = time.monotonic()
        self._client.resources()  # asked once here instead of once by each agent
        self._runtime.start(self._runtime_changed)
        self._prober.start(self._runtime_changed)
        # Before the agents: to one that began without the pods' list, every sandbox would be a deleted pod's.
        self._feed.start(_START_SECONDS)
        self._cluster.start(_START_SECONDS)
        for agent in self._agents.values():
            agent.start()
        for agent in self._agents.values():
            agent.wait_started(_START_SECONDS)
            agent.wake()
        self._services.start(_START_SECONDS)
        self._control = ControlServer(
            self._context.run_dir / "agents.sock",
            {
                "list": self._on_list,
                "stats": self._on_stats,
                "start": self._on_start,
                "stop": self._on_stop,
                "reachability": self._on_reachability,
            },
        )
        return {"nodes": len(self._agents), "seconds": round(time.monotonic() - began, 3)}

    def check(self) -> None:
        """Say of nodes whose agent is silent that their state is unknown."""
        now = time.monotonic()
        for name, agent in self._agents.items():
            if now - agent.last_beat <= _GRACE_SECONDS:
                self._silent.discard(name)
            elif name not in self._silent:
                try:
                    agent.mark_unknown(self._client, f"the node's agent has been silent for {_GRACE_SECONDS:g} s")
                    self._silent.add(name)
                except KubinetError as error:
                    _LOG.warning("node %s: silent, and this cannot be reported: %s", name, error)

    def stop(self) -> None:
        """End the agents; the nodes' Open vSwitch and pods live on."""
        if self._control is not None:
            self._control.close()
        self._services.stop()
        for agent in self._agents.values():
            if agent.running:
                try:
                    agent.stop(_STOP_SECONDS)
                except DeadlineError as error:
                    _LOG.warning("%s", error)
        self._feed.stop()
        self._prober.stop()
        self._cluster.stop()
        self._runtime.stop()
        self._events.close(1.0)

    def _runtime_changed(self, node: str | None) -> None:
        agents = self._agents.values() if node is None else [self._agents[node]] if node in self._agents else []
        for agent in agents:
            agent.wake()

    # Requests

    def _agent(self, request: Mapping[str, Any]) -> NodeAgent:
        name = request.get("node")
        if name not in self._agents:
            raise UsageError(f"agents: no node {name!r}; nodes: {', '.join(self._agents)}")
        return self._agents[str(name)]

    def _on_list(self, _: Mapping[str, Any]) -> Mapping[str, object]:
        return {"agents": {name: "running" if agent.running else "stopped" for name, agent in self._agents.items()}}

    def _on_stats(self, _: Mapping[str, Any]) -> Mapping[str, object]:
        return {"nodes": {name: agent.stats() for name, agent in self._agents.items()}}

    def _on_start(self, request: Mapping[str, Any]) -> Mapping[str, object]:
        agent = self._agent(request)
        if not agent.running:
            agent.start()
            agent.wait_started(_START_SECONDS)
            agent.wake()
        return {"node": agent.node.name, "running": True}

    def _on_stop(self, request: Mapping[str, Any]) -> Mapping[str, object]:
        agent = self._agent(request)
        if agent.running:
            agent.stop(_START_SECONDS)
        return {"node": agent.node.name, "running": False}

    def _on_reachability(self, request: Mapping[str, Any]) -> Mapping[str, object]:
        timeout = float(request.get("timeout", 30.0))
        began = time.monotonic()
        # Probes into a bridge without flows lose more than themselves: a router whose ARP request got no answer
        # waits a second before the next.
        bare = self._feed.wait_realised(list(self._agents), timeout)
        if bare:
            raise DeadlineError(f"the controller has not programmed {', '.join(bare[:_NAMED])} within {timeout:g} s")
        found = probe_all_pairs(self._facts, max(0.0, timeout - (time.monotonic() - began)))
        if found.missing:
            named = ", ".join(f"{one}→{other}" for one, other in found.missing[:_NAMED])
            more = f" and {len(found.missing) - _NAMED} more" if len(found.missing) > _NAMED else ""
            raise DeadlineError(f"no answer over the overlay within {timeout:g} s: {named}{more}")
        trips = list(found.round_trips.values())
        return {
            "pairs": len(trips),
            "seconds": round(found.seconds, 3),
            "medianRttMs": round(statistics.median(trips) * 1000, 3) if trips else None,
            "slowestRttMs": round(max(trips) * 1000, 3) if trips else None,
        }
