"""What nodes answer to load balancers' health checks: pure. The answers are kube-proxy's.

A Service with `externalTrafficPolicy: Local` has a `healthCheckNodePort`, on which each node says whether it has ready
endpoints of its own. Port 10256 says for the node as a whole whether its rules are current.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from kubinet.services import healthy
from kubinet.state import Node, Service

PROXY_PORT: Final = 10256
"""Kubernetes' default for kube-proxy's --healthz-bind-address."""


@dataclass(frozen=True, slots=True)
class ServiceCheck:
    """What a node says about one Service."""

    namespace: str
    name: str
    endpoints: int


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer with a body of JSON."""

    status: int
    body: bytes
    headers: Mapping[str, str]


def checks(services: Mapping[str, Service], node: Node) -> Mapping[int, ServiceCheck]:
    """The node's health checks by TCP port."""
    return {
        service.health_check_node_port: ServiceCheck(service.namespace, service.name, healthy(service, node))
        for service in services.values()
        if service.health_check_node_port and service.external_local
    }


def service_answer(check: ServiceCheck, *, current: bool) -> Answer:
    """200 where the node has ready endpoints and current rules, else 503."""
    body = {
        "service": {"namespace": check.namespace, "name": check.name},
        "localEndpoints": check.endpoints,
        "serviceProxyHealthy": current,
    }
    headers = {"X-Load-Balancing-Endpoint-Weight": str(check.endpoints)}
    return Answer(200 if check.endpoints and current else 503, json.dumps(body).encode(), headers)


def proxy_answer(updated: str, now: str, *, current: bool) -> Answer:
    """200 where the node's rules are current; `updated`: when they last were (RFC 3339)."""
    body = {"lastUpdated": updated, "currentTime": now, "nodeEligible": True}
    return Answer(200 if current else 503, json.dumps(body).encode(), {})


class Currency:
    """Whether a node's rules keep up with the API: news may wait for a grace, because each change takes its time."""

    def __init__(self, grace: float) -> None:
        self._grace = grace
        self._late_since: float | None = None

    def see(self, *, realised: bool, now: float) -> None:
        """`realised`: whether the rules include all that is known at `now` (seconds of a clock that never jumps)."""
        if realised:
            self._late_since = None
        elif self._late_since is None:
            self._late_since = now

    def current(self, now: float) -> bool:
        """Whether the rules are current, or late for less than the grace."""
        return self._late_since is None or now - self._late_since < self._grace


_REASONS: Final = {200: "OK", 400: "Bad Request", 405: "Method Not Allowed", 503: "Service Unavailable"}


def encode(answer: Answer, *, head: bool = False) -> bytes:
    """The answer as HTTP/1.1 has it; the connection ends after it (RFC 9112)."""
    lines = [
        f"HTTP/1.1 {answer.status} {_REASONS[answer.status]}",
        "Content-Type: application/json",
        "X-Content-Type-Options: nosniff",
        f"Content-Length: {len(answer.body)}",
        "Connection: close",
        *(f"{name}: {value}" for name, value in answer.headers.items()),
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + (b"" if head else answer.body)


def method_of(head: bytes) -> str | None:
    """The request's method; None for what is no HTTP request."""
    words = head.split(b"\r\n", 1)[0].split(b" ")
    if len(words) != 3 or not words[2].startswith(b"HTTP/1.") or not words[0].isalpha():
        return None
    return words[0].decode("ascii", "replace")
