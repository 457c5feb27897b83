"""Where a probe or hook goes: a container of a pod, as seen from its node. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import AddressValueError, IPv4Address
from typing import Final

from agents.events import Subject
from agents.probes.spec import port_number
from agents.probes.state import Outcome
from kubinet.errors import KubinetError

OUTPUT_LIMIT: Final = 10 * 1024
"""Bytes of a command's output or a server's body that are looked at, as kubelet does."""


class HostNameError(KubinetError):
    """A probe's `host` cannot be resolved from the node."""


@dataclass(frozen=True, slots=True)
class Target:
    """One run of one container."""

    node: str
    namespace: str
    """The node's network namespace: packets start there."""
    uid: str
    container: str
    attempt: int
    address: IPv4Address
    """The pod's, or the node's for a host-network pod."""
    subject: Subject
    """For events."""
    ports: Mapping[str, int] = field(default_factory=dict)
    """The container's named ports."""

    def endpoint(self, host: str, port: int | str) -> tuple[str, int]:
        """Address and port; PortNameError, HostNameError. `host` empty: the pod."""
        return address_of(host) if host else str(self.address), port_number(port, self.ports)


@dataclass(frozen=True, slots=True)
class Result:
    """How a probe or hook ended, and what people are told of it."""

    outcome: Outcome
    text: str = ""
    warning: bool = False
    """A success that deserves a word (a redirect to another host)."""


def succeeded(text: str = "") -> Result:
    """Passed."""
    return Result(Outcome.SUCCESS, text)


def failed(text: str) -> Result:
    """Not passed."""
    return Result(Outcome.FAILURE, text)


def errored(text: str) -> Result:
    """Could not be run."""
    return Result(Outcome.ERROR, text)


def address_of(host: str) -> str:
    """A numeric IPv4 address; nodes have no resolver, so `localhost` is the only name. HostNameError."""
    if host == "localhost":
        return "127.0.0.1"
    try:
        return str(IPv4Address(host))
    except AddressValueError:
        raise HostNameError(
            f"lookup {host}: no such host; nodes have no DNS: give an IPv4 address, or leave `host` out (the pod's)"
        ) from None
