"""Where probes start and arrive: network namespaces of pods, nodes and outside hosts, in the sandbox."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from kubinet.addressing import GATEWAY_INTERFACE, UPLINK_BRIDGE
from kubinet.cri import RuntimeClient
from kubinet.errors import KubinetError
from kubinet.netns import of_process
from kubinet.state import ClusterFacts


@dataclass(frozen=True, slots=True)
class Spot:
    """One place's network namespace."""

    namespace: str
    """Its path in the sandbox."""
    interfaces: frozenset[str] | None = None
    """Where a packet that is meant for the place arrives; None: anywhere in the namespace."""


def spots(facts: ClusterFacts, runtime: RuntimeClient) -> Mapping[str, Spot]:
    """All places by name: `namespace/name` of pods, `node/NAME`, `outside/NAME`."""
    found = {f"{info.namespace}/{info.name}": Spot(str(info.netns), frozenset({"eth0"})) for info in runtime.list()}
    # A node's namespace also has the other ends of its pods' interfaces: what is seen there has not arrived.
    own = frozenset({GATEWAY_INTERFACE, UPLINK_BRIDGE})
    found |= {f"node/{node.name}": Spot(of_process(node.pid), own) for node in facts.nodes}
    found |= {f"outside/{host.name}": Spot(of_process(host.pid)) for host in facts.outside}
    return found


def spot(known: Mapping[str, Spot], name: str) -> Spot:
    """The place; KubinetError for one that is not there any more."""
    if name not in known or not Path(known[name].namespace).exists():
        raise KubinetError(f"{name} is not there any more; ask again")
    return known[name]
