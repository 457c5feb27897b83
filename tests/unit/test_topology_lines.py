"""Each error that a Topology file can cause names its line."""

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from kubinet.errors import KubinetError, MissingCapabilityError
from topologies.resolve import load_topology, resolve_topology

GOOD = """\
apiVersion: kubinet.dev/v1
kind: Topology
metadata:
  name: lab
spec:
  network:
    overlay: vxlan
    mtu: 1500
    dnsUpstream: world
  defaults:
    link:
      rate: 10mbit
  nodes:
  - name: n1
    podCIDR: 10.244.6.0/24
  - name: n2
    podCIDR: 10.244.7.0/24
  - name: n3
  switches:
  - name: s1
  routers:
  - name: r1
  outside:
  - name: world
    dns:
      a.example: 192.0.2.1
  links:
  - endpoints: [n1, s1]
  - endpoints: [n2, s1]
  - endpoints: [n3, s1]
  - name: uplink
    endpoints: [s1, r1]
    delay: 2ms
    jitter: 1ms
    loss: 0.1%
    queue: 9 packets
  - endpoints: [r1, world]
"""
NETWORK = "    mtu: 1500\n"
LINKS = GOOD[GOOD.index("rate: 10mbit") :]
"""From the links' defaults on."""

MISTAKES: dict[str, tuple[str, str, int, str]] = {
    # what is no YAML, no manifest or no Topology
    "a control character": ("mtu: 1500", "mtu: \x07", 8, "not valid YAML: control characters are not allowed"),
    "after other letters": ("name: lab", "name: 'é'\n  x: \x07", 5, "not valid YAML: control characters"),
    "syntax": ("[s1, r1]", "[s1, r1", 33, "not valid YAML: while parsing a flow sequence"),
    "a key twice": ("name: lab", "name: lab\n  name: lab", 5, 'key "name" is given twice'),
    "no kind": ("kind: Topology\n", "", 1, "field 'kind' is missing"),
    "another kind": ("kind: Topology", "kind: Pod", 2, "expected exactly one document of kind Topology, found 0"),
    "nothing": (GOOD, "\n", 1, "expected exactly one document of kind Topology, found 0"),
    "two of them": (GOOD, GOOD + "---\n" + GOOD, 40, "expected exactly one document of kind Topology, found 2"),
    # what the schema refuses
    "no spec": (GOOD[GOOD.index("spec:") :], "", 1, "document: the field 'spec' is missing"),
    "an empty spec": (GOOD[GOOD.index("spec:") :], "spec:\n", 5, "spec: must be a mapping, not nothing"),
    "a version": ("dev/v1", "dev/v2", 1, "apiVersion: must be 'kubinet.dev/v1', not 'kubinet.dev/v2'"),
    "an unknown field": ("mtu: 1500", "mut: 1500", 8, "spec.network.mut: unknown field 'mut'"),
    "a choice": ("overlay: vxlan", "overlay: gre", 7, "spec.network.overlay: 'gre' is not one of vxlan"),
    "a type": ("rate: 10mbit", "rate: 10", 12, "spec.defaults.link.rate: must be a text such as 100mbit"),
    "too small": ("mtu: 1500", "mtu: 12", 8, "spec.network.mtu: 12 is too small"),
    "too large": ("mtu: 1500", "mtu: 10000", 8, "spec.network.mtu: 10000 is too large"),
    "a name": ("name: n3", "name: N3", 18, "spec.nodes[2].name: 'N3' is no name"),
    "a name for DNS": ("a.example:", "A.example:", 25, "spec.outside[0].dns: 'A.example' is no name"),
    "one endpoint": ("[n2, s1]", "[n2]", 29, "spec.links[1].endpoints: ['n2'] is too short"),
    # quantities and addresses
    "a default's unit": ("rate: 10mbit", "rate: 10bytes", 12, "spec.defaults.link.rate: '10bytes' is not a rate"),
    "a delay's unit": ("delay: 2ms", "delay: 2m", 33, "spec.links[3].delay: '2m' is not a"),
    "a jitter's unit": ("jitter: 1ms", "jitter: 1", 34, "spec.links[3].jitter: must be a text"),
    "a share": ("loss: 0.1%", "loss: 101%", 35, "spec.links[3].loss: '101%'"),
    "a queue": ("9 packets", "9 pockets", 36, "spec.links[3].queue: '9 pockets'"),
    "IPv6 for pods": (NETWORK, "    podCIDR: fd00::/64\n", 8, "'fd00::/64' is no IPv4 network such as 10.244.0.0/16"),
    "IPv6 for a node": ("10.244.7.0/24", "fd00::/64", 17, "'fd00::/64' is no IPv4 network such as 10.244.0.0/16"),
    "a mask": ("10.244.7.0/24", "10.244.7.0/33", 17, "'10.244.7.0/33' is no IPv4 network such as 10.244.0.0/16"),
    "host bits": ("10.244.7.0/24", "10.244.7.1/24", 17, "spec.nodes[1].podCIDR: 10.244.7.1/24 has host bits set"),
    "an address": ("192.0.2.1", "192.0.2", 26, "spec.outside[0].dns.a.example: Expected 4 octets in '192.0.2'"),
    # names and links
    "a name twice": ("name: n3", "name: n2", 18, "the name 'n2' is given to 2 nodes"),
    "a reserved name": ("- name: r1", "- name: r1\n  - name: lo", 23, "'lo' is a name that the kernel gives"),
    "a long name": ("n3", "a-long-name", 18, "'a-long-name': interface name 'a-long-name-eth0' has 16 characters"),
    "a link twice": ("[n2, s1]", "[n1, s1]", 28, "2 links are named 'n1-s1'"),
    "an unknown end": ("[n2, s1]", "[n2, s2]", 29, "link 'n2-s2': 's2' is no node"),
    "one end twice": ("[n2, s1]", "[n2, n2]", 29, "link 'n2-n2': both ends are 'n2'"),
    "no link": ("  - endpoints: [n2, s1]\n", "", 16, "node 'n2' has 0 links"),
    "a fast link": ("delay: 2ms", "rate: 40gbit", 31, "link 'uplink': a rate above 10gbit"),
    "a slow link": ("delay: 2ms", "rate: 1kbit", 31, "link 'uplink': a rate below 64kbit"),
    "jitter alone": ("    delay: 2ms\n", "", 31, "link 'uplink': jitter needs a delay to vary"),
    "much jitter": ("jitter: 1ms", "jitter: 3ms", 31, "link 'uplink': jitter above delay"),
    "a small frame": ("9 packets", "9 packets\n    mtu: 1400", 31, "link 'uplink': mtu 1400 is less"),
    # the links' defaults
    "a fast default": ("rate: 10mbit", "rate: 40gbit", 12, "link 'n1-s1': a rate above 10gbit"),
    "a slow default": ("rate: 10mbit", "rate: 1kbit", 12, "link 'n1-s1': a rate below 64kbit"),
    "a default of jitter alone": ("rate: 10mbit", "jitter: 1ms", 12, "link 'n1-s1': jitter needs a delay to vary"),
    "much jitter by default": ("rate: 10mbit", "delay: 1ms\n      jitter: 2ms", 13, "link 'n1-s1': jitter above delay"),
    "a default's small frame": ("rate: 10mbit", "mtu: 1400", 12, "link 'n1-s1': mtu 1400 is less"),
    "more jitter than a default's delay": (
        LINKS,
        LINKS.replace("rate: 10mbit", "delay: 1us").replace("[n1, s1]", "[n1, s1]\n    jitter: 1ms"),
        28,
        "link 'n1-s1': jitter above delay",
    ),
    "a default that no link has": (
        LINKS,
        LINKS.replace("rate: 10mbit", "queue: 9 pockets").replace("- endpoints:", "- queue: 9 packets\n    endpoints:"),
        12,
        "spec.defaults.link.queue: '9 pockets'",
    ),
    # the links as a whole
    "a part of its own": ("- name: r1", "- name: r1\n  - name: r2", 23, "the topology falls into 2 parts; 'r2'"),
    "a loop": (
        GOOD[GOOD.index("  routers:") : GOOD.index("  - endpoints: [n1")],
        "  - name: s2\n  routers: [{name: r1}]\n  outside: [{name: world}]\n  links:\n"
        "  - {name: p, endpoints: [s1, s2]}\n  - {name: q, endpoints: [s1, s2]}\n",
        20,
        "the switches 's1', 's2' form a loop",
    ),
    # the network as a whole
    "a node's size": (
        "10.244.7.0/24",
        "10.244.7.0/30",
        17,
        "a node's pod CIDR of /30 is not supported; use /17 to /28",
    ),
    "outside of all": ("10.244.7.0/24", "10.1.7.0/24", 17, "podCIDR 10.1.7.0/24 is outside network.podCIDR 10.244.0"),
    "one in another": ("10.244.7.0/24", "10.244.6.128/25", 17, "overlaps 10.244.6.0/24 of node 'n1'"),
    "no room": (NETWORK, "    podCIDR: 10.244.6.0/23\n", 8, "podCIDR 10.244.6.0/23 holds 2 nodes of /24"),
    "no room beside": (
        GOOD[GOOD.index(NETWORK) : GOOD.index("  - name: n3")],
        "    podCIDR: 10.244.4.0/22\n  nodes:\n  - {name: n1, podCIDR: 10.244.4.0/23}\n"
        "  - {name: n2, podCIDR: 10.244.6.0/23}\n",
        8,
        "podCIDR 10.244.4.0/22 has no /24 left for every node beside the nodes' own podCIDRs; widen it",
    ),
    "ranges": (NETWORK, "    podCIDR: 10.96.0.0/12\n", 8, "podCIDR 10.96.0.0/12 and serviceCIDR 10.96.0.0/16 overlap"),
    "no division": (NETWORK, "    nodeCIDRMaskSize: 17\n    podCIDR: 10.244.0.0/18\n", 8, "does not divide podCIDR"),
    "management": (NETWORK, "    managementCIDR: 10.1.0.0/30\n", 8, "managementCIDR 10.1.0.0/30 is too small"),
    "the underlay": (NETWORK, "    underlayCIDR: 10.1.0.0/30\n", 8, "underlayCIDR 10.1.0.0/30 is too small"),
    "Services": (NETWORK, "    serviceCIDR: 10.1.0.0/29\n", 8, "serviceCIDR 10.1.0.0/29 is too small for the DNS"),
    "DNS": ("dnsUpstream: world", "dnsUpstream: n1", 9, "network: dnsUpstream 'n1' is no outside host"),
}


def _refusal(folder: Path, text: str, settings: Mapping[str, object] | None = None) -> str:
    path = folder / "lab.yaml"
    path.write_text(text)
    with pytest.raises(KubinetError) as caught:
        load_topology(path, settings)
    return str(caught.value).replace(f"{folder}/", "")


def test_the_file_that_mistakes_are_made_in_is_good() -> None:
    """Without a mistake the file is a topology."""
    assert load_topology(GOOD).name == "lab"


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_refused_with_its_line(tmp_path: Path, mistake: str) -> None:
    """The error begins with file and line of the mistake, and says which it is."""
    old, new, line, words = MISTAKES[mistake]
    assert old in GOOD
    refusal = _refusal(tmp_path, GOOD.replace(old, new))
    assert re.match(rf"lab\.yaml:{line}\b", refusal), refusal
    assert words in refusal


@pytest.mark.parametrize(
    ("old", "new", "setting", "refusal"),
    [
        (GOOD[GOOD.index("spec:") :], "spec:\n", "network.mtu", "lab.yaml:5: spec: must be a mapping, not nothing"),
        (
            GOOD[GOOD.index("  network:") : GOOD.index("  defaults:")],
            "  network: [x]\n",
            "network.mtu",
            "lab.yaml:6: spec.network: must be a mapping",
        ),
        (
            "    link:\n      rate: 10mbit\n",
            "    link:\n",
            "defaults.link.mtu",
            "lab.yaml:11: spec.defaults.link: must be",
        ),
        ("  - endpoints: [n1, s1]", "  - n1", "links.n2-s1.mtu", "lab.yaml:28: spec.links[0]: must be a mapping"),
    ],
)
def test_settings_do_not_hide_the_line(tmp_path: Path, old: str, new: str, setting: str, refusal: str) -> None:
    """A mistake in a file is refused with its line when `--set` changes what is near it."""
    assert _refusal(tmp_path, GOOD.replace(old, new), {setting: "1500"}).startswith(refusal)


def test_a_setting_below_a_value_is_refused(tmp_path: Path) -> None:
    """`network.overlay` is a value; nothing can be set below it."""
    assert _refusal(tmp_path, GOOD, {"network.overlay.x": "1"}) == (
        "'network.overlay.x': network.overlay has no fields; use network.overlay=VALUE"
    )


def test_a_datapath_that_the_machine_lacks_is_refused_with_its_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a file asks of the machine has a line, too."""
    monkeypatch.setattr("topologies.probes.try_all", lambda _: {"openvswitch": "No such file or directory"})
    with pytest.raises(MissingCapabilityError) as caught:
        plain = GOOD.replace("    delay: 2ms\n    jitter: 1ms\n    loss: 0.1%\n", "")
        resolve_topology(plain.replace("mtu: 1500", "datapath: system"), for_this_machine=True)
    assert str(caught.value).startswith("topology:8: datapath system: this kernel has no module openvswitch")
