"""Which mechanism a link gets and what is refused: pure choices."""

from dataclasses import replace

import pytest

from kubinet.errors import InvalidInputError, MissingCapabilityError
from kubinet.state import Datapath
from kubinet.units import Queue
from topologies.datapath import DatapathTools, choose_datapath
from topologies.document import spell
from topologies.links.change import changed
from topologies.links.measure import DirectionMeasurement, LinkMeasurement
from topologies.links.mechanism import LinkTools, Shaper, Wire, choose_wire, shaper
from topologies.machine import require
from topologies.model import Link
from topologies.resolve import load_topology

ALL = LinkTools(netem=True, wirefilter=True, tun=True)
USERSPACE = LinkTools(netem=False, wirefilter=True, tun=True)
LINK = Link("l", "a", "b", rate=1e8)
LATE = replace(LINK, delay=5e-3)


def test_a_link_without_impairments_is_a_veth_pair_everywhere() -> None:
    """A rate alone needs neither netem nor a userspace wire."""
    assert choose_wire(LINK, LinkTools(netem=False, wirefilter=False, tun=False), 9000) is Wire.VETH


def test_impairments_use_netem_where_the_kernel_has_it_and_wirefilter_elsewhere() -> None:
    """Delay is netem's with netem, wirefilter's without."""
    assert choose_wire(LATE, ALL, 9000) is Wire.NETEM
    assert choose_wire(LATE, USERSPACE, 1500) is Wire.WIREFILTER


@pytest.mark.parametrize(
    ("link", "tools", "words"),
    [
        (LATE, LinkTools(netem=False, wirefilter=False, tun=True), "apt install vde2"),
        (LATE, LinkTools(netem=False, wirefilter=True, tun=False), "/dev/net/tun"),
        (replace(LATE, rate=3e8), USERSPACE, "carries at most 200mbit, it declares 300mbit"),
        (replace(LATE, rate=None), USERSPACE, "it declares no rate"),
        (replace(LATE, mtu=9000), USERSPACE, "carries an MTU of at most 1500 bytes, it has 9000"),
    ],
)
def test_what_no_mechanism_can_do_is_refused(link: Link, tools: LinkTools, words: str) -> None:
    """The error names the link, the lack and the remedy."""
    with pytest.raises(MissingCapabilityError) as caught:
        choose_wire(link, tools, link.mtu or 1500)
    assert str(caught.value).startswith("link 'l': ")
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("link", "expected"),
    [
        (LINK, Shaper(rate=100_000_000, burst=12_500, limit=12_500 + 100 * 1514)),
        (replace(LINK, rate=1e6), Shaper(rate=1_000_000, burst=3028, limit=3028 + 100 * 1514)),
        (replace(LINK, queue=Queue(packets=10)), Shaper(rate=100_000_000, burst=12_500, limit=12_500 + 10 * 1514)),
        (replace(LINK, queue=Queue(bytes=64_000)), Shaper(rate=100_000_000, burst=12_500, limit=12_500 + 64_000)),
        (replace(LINK, rate=None), None),
    ],
)
def test_the_token_bucket_of_a_link(link: Link, expected: Shaper | None) -> None:
    """Rate as declared, 1 ms of burst (two frames at least), and the declared queue or 100 full frames behind it."""
    assert shaper(link, 1500) == expected


def test_a_jumbo_frame_fits_into_the_bucket() -> None:
    """At 20 Mbit/s a millisecond is 2,500 bytes: the bucket holds two jumbo frames instead, or none would ever pass."""
    slow = replace(LINK, rate=20e6, queue=Queue(packets=10))
    assert shaper(slow, 9000) == Shaper(rate=20_000_000, burst=2 * 9014, limit=2 * 9014 + 10 * 9014)


def test_changing_a_link_checks_what_the_topology_checks() -> None:
    """Quantities of a running link are replaced one by one; what a file may not say is refused here too."""
    assert changed(LATE, {"delay": "7ms", "loss": "1%"}, ALL, 1500) == replace(LATE, delay=7e-3, loss=0.01)
    with pytest.raises(InvalidInputError, match="jitter above delay"):
        changed(LATE, {"jitter": "1s"}, ALL, 1500)
    with pytest.raises(MissingCapabilityError, match="at most 200mbit"):
        changed(LATE, {"rate": "1gbit"}, USERSPACE, 1500)


def _way(**values: float | None) -> LinkMeasurement:
    measured = {"delay_min": 4.9e-3, "delay_median": 5.2e-3, "jitter": 1e-4, "rate": 98e6, "loss": 0.0, **values}
    return LinkMeasurement(LATE, (DirectionMeasurement("a", "b", frames=4000, **measured),))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("values", "problems"),
    [
        ({}, ()),
        ({"delay_median": 6.2e-3}, ()),
        ({"delay_median": 6.3e-3}, ("link 'l' from 'a' to 'b': delay 6.30 ms, declared 5 ms",)),
        ({"delay_median": 3.7e-3}, ("link 'l' from 'a' to 'b': delay 3.70 ms, declared 5 ms",)),
        ({"rate": 94e6}, ("link 'l' from 'a' to 'b': rate 94.00 Mbit/s, declared 100 Mbit/s",)),
        ({"rate": 106e6}, ("link 'l' from 'a' to 'b': rate 106.00 Mbit/s, declared 100 Mbit/s",)),
        ({"loss": 0.01}, ("link 'l' from 'a' to 'b': 1.00 % lost, declared 0 %",)),
        ({"delay_median": None}, ("link 'l' from 'a' to 'b': not one of 4000 frames arrived; is the link up?",)),
    ],
)
def test_a_measurement_says_where_a_link_breaks_its_word(
    values: dict[str, float | None], problems: tuple[str, ...]
) -> None:
    """5 % of rate, 5 % and 1 ms of delay, and chance in losses are allowed; beyond, both numbers are named."""
    assert _way(**values).problems() == problems


NOTHING = DatapathTools(kernel=False, kernel_conntrack=False, kernel_overlay=True, af_xdp=False, tun=True)
KERNEL = DatapathTools(kernel=True, kernel_conntrack=True, kernel_overlay=True, af_xdp=False, tun=True)


def test_auto_is_the_kernels_datapath_where_it_has_all_that_a_cluster_needs() -> None:
    """`auto` means `system` with the module, its connection tracking and the overlay's interfaces, else `netdev`."""
    topology = load_topology("star")
    assert choose_datapath(topology, KERNEL) is Datapath.SYSTEM
    assert choose_datapath(topology, replace(KERNEL, tun=False)) is Datapath.SYSTEM
    assert choose_datapath(topology, NOTHING) is Datapath.NETDEV
    assert choose_datapath(topology, replace(KERNEL, kernel_overlay=False)) is Datapath.NETDEV
    assert choose_datapath(topology, replace(KERNEL, kernel_conntrack=False)) is Datapath.NETDEV


@pytest.mark.parametrize(
    ("settings", "tools", "words"),
    [
        ({"network.datapath": "system"}, NOTHING, "this kernel has no module openvswitch"),
        (
            {"network.datapath": "system", "network.overlay": "geneve"},
            replace(KERNEL, kernel_overlay=False),
            "this kernel has no geneve",
        ),
        (
            {"network.datapath": "system"},
            replace(KERNEL, kernel_conntrack=False),
            "cannot track connections with zones and NAT",
        ),
        ({"network.datapath": "afxdp"}, NOTHING, "AF_XDP needs real root"),
        (
            {"network.datapath": "afxdp"},
            replace(NOTHING, af_xdp=True),
            "link 'n1-s1': a rate at a node's own link cannot be kept with datapath afxdp",
        ),
        ({}, replace(NOTHING, tun=False), "datapath netdev: /dev/net/tun cannot be opened"),
    ],
)
def test_a_datapath_that_cannot_be_had_is_refused(
    settings: dict[str, object], tools: DatapathTools, words: str
) -> None:
    """A datapath that is asked for by name is never replaced in silence, and the last one left may be none."""
    with pytest.raises(MissingCapabilityError) as caught:
        choose_datapath(load_topology("star", settings), tools)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "refusals", "words"),
    [
        ({"delay": "5ms"}, {"netem": "", "tun": "Permission denied"}, ""),
        (
            {"delay": "5ms"},
            {"netem": "No such file or directory", "tun": "Permission denied"},
            r"spec\.links\[0\]: link 'n1-s1': delay",
        ),
        ({"network.datapath": "system"}, {"openvswitch": "No such file or directory", "vxlan": ""}, "no module"),
        (
            {"network.datapath": "system"},
            {"openvswitch": "", "kernel_conntrack": "Invalid argument", "vxlan": ""},
            "cannot track connections with zones and NAT",
        ),
        (
            {"network.datapath": "system"},
            {"openvswitch": "", "kernel_conntrack": "", "vxlan": "Operation not supported"},
            "no vxlan",
        ),
        ({"network.datapath": "netdev"}, {"namespaces": "Operation not permitted"}, "namespaces cannot be made"),
    ],
)
def test_a_machine_is_asked_before_anything_is_made(
    monkeypatch: pytest.MonkeyPatch, settings: dict[str, object], refusals: dict[str, str], words: str
) -> None:
    """What the kernel refuses is tried on the host, and only where the topology needs it."""
    asked: list[set[str]] = []
    monkeypatch.setattr("topologies.probes.try_all", lambda probes: asked.append(set(probes)) or refusals)
    topology = load_topology("star", settings)
    if words:
        with pytest.raises(MissingCapabilityError, match=words):
            require(topology, spell)
    else:
        require(topology, spell)
    assert len(asked) == 1
    require(load_topology("star"), spell)
    assert len(asked) == 1
