"""Which datapath a cluster's switches use: a pure choice from what is asked and what the kernel has."""

from dataclasses import dataclass

from kubinet.errors import MissingCapabilityError
from kubinet.state import Datapath, Overlay
from topologies import probes
from topologies.conntrack_probe import kernel_conntrack
from topologies.model import Role, Topology


@dataclass(frozen=True, slots=True)
class DatapathTools:
    """What the kernel has for datapaths."""

    kernel: bool
    """The module openvswitch."""
    kernel_conntrack: bool
    """Its datapath tracks connections, with zones, marks, labels and NAT."""
    kernel_overlay: bool
    """Interfaces of the topology's overlay kind."""
    af_xdp: bool
    tun: bool
    """/dev/net/tun can be opened: the userspace datapath's own ports are made of it."""


def detect_datapaths(overlay: Overlay) -> DatapathTools:
    """Try in the present network namespace, a throw-away one."""
    tunnel = {Overlay.VXLAN: probes.vxlan, Overlay.GENEVE: probes.geneve}.get(overlay)
    return DatapathTools(
        kernel=not probes.refusal(probes.openvswitch),
        kernel_conntrack=not probes.refusal(kernel_conntrack),
        kernel_overlay=tunnel is None or not probes.refusal(tunnel),
        af_xdp=not probes.refusal(probes.af_xdp),
        tun=not probes.refusal(probes.tun),
    )


def choose_datapath(topology: Topology, tools: DatapathTools) -> Datapath:
    """`auto`: the kernel's where it tracks connections and carries the overlay, else userspace.

    MissingCapabilityError for a datapath that was asked for by name and lacks something, and where none is left.
    """
    chosen = _choose(topology, tools)
    if chosen is not Datapath.SYSTEM and not tools.tun:
        raise MissingCapabilityError(
            f"datapath {chosen}: /dev/net/tun cannot be opened, and the switches' own ports are made of it; ask an "
            "administrator: modprobe tun; chmod 666 /dev/net/tun"
        )
    return chosen


def _choose(topology: Topology, tools: DatapathTools) -> Datapath:
    overlay = topology.network.overlay
    match topology.datapath_requested:
        case "auto":
            complete = tools.kernel and tools.kernel_conntrack and tools.kernel_overlay
            return Datapath.SYSTEM if complete else Datapath.NETDEV
        case "system" if not tools.kernel:
            raise MissingCapabilityError(
                "datapath system: this kernel has no module openvswitch; use --datapath netdev, or modprobe openvswitch"
            )
        case "system" if not tools.kernel_conntrack:
            raise MissingCapabilityError(
                "datapath system: this kernel's openvswitch cannot track connections with zones and NAT, which "
                "Services, policies and pods' way to the outside need; use --datapath netdev, or a kernel with "
                "CONFIG_NF_CONNTRACK_ZONES and CONFIG_NF_NAT (`kubinet guest --kernel qemu -- COMMAND` brings one)"
            )
        case "system" if not tools.kernel_overlay:
            raise MissingCapabilityError(
                f"datapath system: this kernel has no {overlay}; use --datapath netdev or --set network.overlay=vxlan"
            )
        case "afxdp":
            _check_af_xdp(topology, tools)
    return Datapath(topology.datapath_requested)


def _check_af_xdp(topology: Topology, tools: DatapathTools) -> None:
    if not tools.af_xdp:
        raise MissingCapabilityError("datapath afxdp: AF_XDP needs real root; use sudo, or --datapath netdev")
    nodes = {node.name for node in topology.of(Role.NODE)}
    for link in topology.links:
        if link.rate is not None and nodes & {link.a, link.b}:
            raise MissingCapabilityError(
                f"link '{link.name}': a rate at a node's own link cannot be kept with datapath afxdp, which sends past "
                "the queue of the interface; leave out the rate (--set rate=) or use --datapath netdev"
            )
