"""Whether this machine can honour a topology: asked on the host, before anything is made."""

import shutil
from collections.abc import Callable, Mapping

from kubinet.documents import Path
from kubinet.errors import MissingCapabilityError
from kubinet.state import Overlay
from topologies import probes
from topologies.checks import link_path
from topologies.datapath import DatapathTools, choose_datapath
from topologies.links.mechanism import LinkTools, choose_wire
from topologies.model import Topology

_DATAPATH: Path = ("spec", "network", "datapath")
_TUNNELS = {Overlay.VXLAN: "vxlan", Overlay.GENEVE: "geneve"}


def require(topology: Topology, at: Callable[[Path], str]) -> None:
    """MissingCapabilityError for the first link or datapath that nothing here can honour.

    `at` says where a field of the document stands. Takes no time for a topology that asks for nothing special, and a
    tenth of a second else.
    """
    wanted = set()
    if any(link.impaired for link in topology.links):
        wanted |= {"netem", "tun"}
    if topology.datapath_requested != "auto":
        wanted |= {
            "openvswitch",
            "kernel_conntrack",
            "af_xdp",
            "tun",
            _TUNNELS.get(topology.network.overlay, "openvswitch"),
        }
    if not wanted:
        return
    refusals = probes.try_all({name: probe for name, probe in probes.PROBES.items() if name in wanted})
    if refusals.get("namespaces"):
        raise MissingCapabilityError(
            f"namespaces cannot be made: {refusals['namespaces']}; `kubinet doctor` says what this machine allows"
        )
    _decide(topology, refusals, at)


def _decide(topology: Topology, refusals: Mapping[str, str], at: Callable[[Path], str]) -> None:
    """Pure: the choices that the underlay service makes later, for their errors."""

    def works(name: str) -> bool:
        return not refusals.get(name, "not tried")

    tools = LinkTools(
        netem=works("netem"),
        wirefilter=shutil.which("wirefilter") is not None and shutil.which("vde_switch") is not None,
        tun=works("tun"),
    )
    for link in topology.links:
        try:
            choose_wire(link, tools, link.mtu or topology.network.underlay_mtu)
        except MissingCapabilityError as error:
            raise MissingCapabilityError(f"{at(link_path(topology, link.name))}: {error}") from error
    if topology.datapath_requested != "auto":
        tunnel = _TUNNELS.get(topology.network.overlay)
        datapaths = DatapathTools(
            kernel=works("openvswitch"),
            kernel_conntrack=works("kernel_conntrack"),
            kernel_overlay=tunnel is None or works(tunnel),
            af_xdp=works("af_xdp"),
            tun=works("tun"),
        )
        try:
            choose_datapath(topology, datapaths)
        except MissingCapabilityError as error:
            raise MissingCapabilityError(f"{at(_DATAPATH)}: {error}") from error
