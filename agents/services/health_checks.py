"""Every node's health check ports follow the Services; the answers come from what is known now."""

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Final

from agents.node_object import timestamp
from agents.node_routes import EXCEPTION_PRIORITY, own_port_rule
from agents.services.health import (
    PROXY_PORT,
    Answer,
    Currency,
    ServiceCheck,
    checks,
    proxy_answer,
    service_answer,
)
from agents.services.health_server import Address, HealthServer
from kubinet.addressing import FIRST_NODE_PORT, LAST_NODE_PORT
from kubinet.netlink import LOCAL_TABLE, Netlink, Rule, add_rule, delete_rule
from kubinet.netns import of_process
from kubinet.state import ClusterFacts, Node, Service, ServiceProxy

_LOG = logging.getLogger(__name__)
GRACE_SECONDS: Final = 10.0
"""How long a change may wait for a node's rules before the node says that it is not healthy."""


class HealthChecks:
    """The servers of all nodes; `update` is for one thread."""

    def __init__(self, facts: ClusterFacts, failed: Callable[[str, ServiceCheck, str], None]) -> None:
        """`failed` is told node, Service and reason of a port that cannot be listened on."""
        self._nodes = {node.name: node for node in facts.nodes}
        self._rules_needed = facts.network.services is ServiceProxy.SDN
        self._failed = failed
        self._reported: frozenset[Address] = frozenset()
        self._checks: Mapping[str, Mapping[int, ServiceCheck]] = {}
        self._currency = {name: Currency(GRACE_SECONDS) for name in self._nodes}
        self._updated = dict.fromkeys(self._nodes, timestamp(datetime.now(UTC)))
        self._server = HealthServer({name: of_process(node.pid) for name, node in self._nodes.items()}, self._answer)
        if self._rules_needed:
            for name in self._nodes:
                self._clear_rules(name)

    def update(self, services: Mapping[str, Service], nodes: Iterable[Node], realised: Callable[[str], bool]) -> None:
        """`realised`: whether a node's rules include these Services."""
        known = [node for node in nodes if node.name in self._nodes]
        self._checks = {node.name: checks(services, node) for node in known}
        for node in known:
            current = realised(node.name)
            self._currency[node.name].see(realised=current, now=time.monotonic())
            if current:
                self._updated[node.name] = timestamp(datetime.now(UTC))
        wanted = {(name, port) for name, ports in self._checks.items() for port in (*ports, PROXY_PORT)}
        start, stop = wanted - self._server.listening, self._server.listening - wanted
        failures = self._server.change(start, stop)
        if self._rules_needed:
            self._change_rules(start - failures.keys(), stop)
        for address in failures.keys() - self._reported:
            self._report(address, failures[address])
        self._reported = frozenset(failures)

    def close(self) -> None:
        """Stop answering."""
        self._server.close()

    def _report(self, address: Address, error: OSError) -> None:
        node, port = address
        _LOG.warning("node %s: health check port %d: %s", node, port, error)
        check = self._checks[node].get(port)
        if check is not None:
            self._failed(node, check, f"node {node} cannot listen on healthCheckNodePort {port}: {error.strerror}")

    def _answer(self, node: str, port: int) -> Answer:
        current = self._currency[node].current(time.monotonic())
        if port == PROXY_PORT:
            return proxy_answer(self._updated[node], timestamp(datetime.now(UTC)), current=current)
        return service_answer(self._checks[node][port], current=current)

    def _change_rules(self, start: Iterable[Address], stop: Iterable[Address]) -> None:
        """The node's own connections to these ports stay on the node, though they are of the node port range."""
        requests: dict[str, list[tuple[int, bool]]] = {}
        for addresses, wanted in ((stop, False), (start, True)):
            for name, port in addresses:
                if FIRST_NODE_PORT <= port <= LAST_NODE_PORT:
                    requests.setdefault(name, []).append((port, wanted))
        for name, ports in requests.items():
            node = self._nodes[name]
            with Netlink(of_process(node.pid)) as channel:
                rules = [(own_port_rule(node, port), wanted) for port, wanted in ports]
                channel.run([add_rule(rule) if wanted else delete_rule(rule) for rule, wanted in rules])

    def _clear_rules(self, name: str) -> None:
        """Rules of an earlier run may be of Services that are gone."""
        rule = Rule(EXCEPTION_PRIORITY, LOCAL_TABLE)
        with Netlink(of_process(self._nodes[name].pid)) as channel:
            while not channel.try_all([delete_rule(rule, must_exist=True)]):
                pass
