"""Topology files: what they say, what is refused and how it is said."""

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kubinet.errors import InvalidInputError, KubinetError, UsageError
from kubinet.facts import network_to_document
from kubinet.state import Algorithm, NetworkConfig, Overlay, ServiceProxy
from kubinet.units import Queue
from topologies.document import parse_topology, schema, spell, to_document
from topologies.model import Link, Role
from topologies.plan import make_plan
from topologies.presets import PRESETS
from topologies.resolve import load_topology, resolve_topology

GOOD = """\
apiVersion: kubinet.dev/v1
kind: Topology
metadata:
  name: lab
spec:
  network:
    overlay: geneve
    mtu: 1400
  defaults:
    link:
      rate: 100mbit
  nodes:
  - name: n1
    labels: {topology.kubernetes.io/zone: east}
  - name: n2
    podCIDR: 10.244.7.0/24
  switches:
  - name: s1
  routers:
  - name: r1
  outside:
  - name: world
  links:
  - endpoints: [n1, s1]
  - endpoints: [n2, s1]
    rate: 1gbit
    queue: 64kb
  - name: uplink
    endpoints: [s1, r1]
    delay: 2ms
    jitter: 500us
    loss: 0.1%
  - endpoints: [r1, world]
    mtu: 1500
"""


def _file(folder: Path, text: str) -> Path:
    path = folder / "lab.yaml"
    path.write_text(text)
    return path


def _refusal(folder: Path, text: str) -> str:
    with pytest.raises(KubinetError) as caught:
        load_topology(_file(folder, text))
    return str(caught.value).replace(str(folder) + "/", "")


def test_a_file_becomes_a_value(tmp_path: Path) -> None:
    """Names, roles, labels, the network section and each link's quantities, with the defaults for links applied."""
    topology = load_topology(_file(tmp_path, GOOD))
    assert topology.name == "lab"
    assert topology.network.overlay is Overlay.GENEVE
    assert topology.network.underlay_mtu == 1400
    assert [(vertex.name, vertex.role) for vertex in topology.vertices] == [
        ("n1", Role.NODE),
        ("n2", Role.NODE),
        ("s1", Role.SWITCH),
        ("r1", Role.ROUTER),
        ("world", Role.OUTSIDE),
    ]
    assert topology.nodes[0].labels == {"topology.kubernetes.io/zone": "east"}
    assert topology.links == (
        Link("n1-s1", "n1", "s1", rate=1e8),
        Link("n2-s1", "n2", "s1", rate=1e9, queue=Queue(bytes=64_000)),
        Link("uplink", "s1", "r1", rate=1e8, delay=2e-3, jitter=5e-4, loss=1e-3),
        Link("r1-world", "r1", "world", rate=1e8, mtu=1500),
    )


def test_a_resolved_document_reads_back_to_the_same_value(tmp_path: Path) -> None:
    """`kubinet topology show` prints a file that means what was shown."""
    topology = load_topology(_file(tmp_path, GOOD))
    assert parse_topology(to_document(topology), spell) == topology


def test_a_text_is_a_topology_as_its_file_is(tmp_path: Path) -> None:
    """YAML text stands for a topology wherever a file's name does; its errors say lines too."""
    assert load_topology(GOOD) == load_topology(_file(tmp_path, GOOD))
    with pytest.raises(InvalidInputError) as caught:
        load_topology(GOOD.replace("mtu: 1400", "mtu: 12"))
    assert str(caught.value) == "topology:8: spec.network.mtu: 12 is too small; it must be at least 576"


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_are_valid_and_have_one_outside_host(preset: str) -> None:
    """Every preset passes the checks that files must pass, and has exactly one outside host."""
    topology = load_topology(preset)
    assert len(list(topology.of(Role.OUTSIDE))) == 1
    assert parse_topology(to_document(topology), spell) == topology


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("nodes", [1, 2, 3, 5, 16])
def test_nodes_sets_the_number_of_nodes_of_every_preset(preset: str, nodes: int) -> None:
    """`nodes=N` makes nodes n1 to nN in each preset."""
    topology = load_topology(preset, {"nodes": str(nodes)})
    assert [node.name for node in topology.nodes] == [f"n{index}" for index in range(1, nodes + 1)]


def test_settings_reach_presets_network_and_links() -> None:
    """Preset parameters, `network.<field>`, `links.<field>` and `links.<name>.<field>` are applied in this order."""
    topology = load_topology(
        "leaf-spine",
        {
            "spines": "3",
            "network.overlay": "direct",
            "network.mtu": "9000",
            "links.rate": "10mbit",
            "links.leaf1-spine2.delay": "5ms",
        },
    )
    assert topology.network.overlay is Overlay.DIRECT
    assert topology.network.underlay_mtu == 9000
    assert {link.rate for link in topology.links} == {1e7}
    assert {link.name: link.delay for link in topology.links if link.delay} == {"leaf1-spine2": 5e-3}
    assert len(list(topology.of(Role.ROUTER))) == 5


@pytest.mark.parametrize(
    ("source", "overrides", "words"),
    [
        ("nowhere", {}, "'nowhere' is neither a file nor a preset; presets: single, star, linear"),
        ("star", {"spines": "2"}, "preset star has no parameter 'spines'; it has nodes=3"),
        ("star", {"nodes": "x"}, "preset star: nodes='x' is no int"),
        ("star", {"nodes": "0"}, "nodes=0 must be at least 1"),
        ("star", {"nodez.x": "0"}, "'nodez.x' is no setting of this topology"),
        ("star", {"links.nope.rate": "1mbit"}, "there is no link 'nope'"),
        ("star", {"network.mtu": "big"}, "mtu='big' is not a whole number"),
        ("star", {"network.overlay": "gre"}, "spec.network.overlay: 'gre' is not one of vxlan, geneve, direct"),
        ("star", {"network.overlap": "x"}, "unknown field 'overlap'; known: overlay, datapath"),
        ("star", {"network.overlay.x": "1"}, "spec.network.overlay: {'x': '1'} is not one of vxlan, geneve, direct"),
        ("fat-tree", {"k": "3"}, "k=3 must be an even number"),
        ("fat-tree", {"k": "2", "nodes": "9"}, "k=2 has room for 2 nodes, not 9"),
        ("leaf-spine", {"spines": "0"}, "leaves and spines must be at least 1"),
        ("wan", {"graph": "/nowhere.graphml"}, "/nowhere.graphml: there is no such GraphML file"),
        ("wan", {"delay_scale": "-1"}, "preset wan: delay_scale must be a number from 0, not -1"),
        ("wan", {"delay_scale": "nan"}, "preset wan: delay_scale must be a number from 0, not nan"),
    ],
)
def test_wrong_settings_are_refused_with_what_would_be_right(
    source: str, overrides: dict[str, object], words: str
) -> None:
    """The message names the setting and the ones that exist."""
    with pytest.raises((UsageError, InvalidInputError)) as caught:
        load_topology(source, overrides)
    assert words in str(caught.value)


_CITY = ("label", "Latitude", "Longitude")


@pytest.mark.parametrize(
    ("latitude", "longitude", "words"),
    [
        ("north", "6.1", "Latitude must be degrees from -90 to 90, not 'north'"),
        ("91", "6.1", "Latitude must be degrees from -90 to 90, not '91'"),
        ("1e400", "6.1", "Latitude must be degrees from -90 to 90, not '1e400'"),
        ("46", "nan", "Longitude must be degrees from -180 to 180, not 'nan'"),
    ],
)
def test_coordinates_of_a_map_are_checked(tmp_path: Path, latitude: str, longitude: str, words: str) -> None:
    """The file and the city are named."""
    path = tmp_path / "map.graphml"
    keys = "".join(f'<key id="{name}" for="node" attr.name="{name}" attr.type="string"/>' for name in _CITY)
    fields = dict(zip(_CITY, ("Geneva", latitude, longitude), strict=True))
    cities = [fields, {"label": "Bern", "Latitude": "46.9", "Longitude": "7.4"}]
    vertices = "".join(
        f'<node id="{number}">{"".join(f"""<data key="{key}">{value}</data>""" for key, value in city.items())}</node>'
        for number, city in enumerate(cities)
    )
    path.write_text(
        f'<graphml>{keys}<graph edgedefault="undirected">{vertices}<edge source="0" target="1"/></graph></graphml>'
    )
    with pytest.raises(InvalidInputError) as caught:
        load_topology("wan", {"graph": str(path)})
    assert str(caught.value).startswith(f"{path}: vertex '0' (Geneva): {words}; leave it out")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("rate: 1gbit", "rate: 1gbyte", "lab.yaml:26: spec.links[1].rate: '1gbyte' is not a rate such as 100mbit"),
        ("rate: 1gbit", "rate: 40gbit", "a rate above 10gbit cannot be shaped exactly"),
        ("rate: 1gbit", "rate: 1kbit", "a rate below 64kbit"),
        (
            "rate: 1gbit",
            "speed: 1gbit",
            "lab.yaml:26: spec.links[1].speed: unknown field 'speed'; known: name",
        ),
        (
            "overlay: geneve",
            "overlay: gre",
            "lab.yaml:7: spec.network.overlay: 'gre' is not one of vxlan, geneve, direct",
        ),
        ("rate: 1gbit", "rate: 100", "links[1].rate: must be a text such as 100mbit or 1gbit, not 100"),
        ("loss: 0.1%", "loss: 0.1", "lab.yaml:32: spec.links[2].loss: must be a text such as 0.1%, not 0.1"),
        ("mtu: 1400", "mtu: .nan", "lab.yaml:8"),
        ("mtu: 1400", "mtu: 12", "lab.yaml:8: spec.network.mtu: 12 is too small; it must be at least 576"),
        ("mtu: 1400", "mtu: 1600", "lab.yaml:33: link 'r1-world': mtu 1500 is less than the network's 1600"),
        (
            "mtu: 1400",
            "podCIDR: 10.96.0.0/12",
            "lab.yaml:8: network: podCIDR 10.96.0.0/12 and serviceCIDR 10.96",
        ),
        ("mtu: 1400", "podCIDR: 10.244.0.0/24", "nodeCIDRMaskSize 24 does not divide podCIDR 10.244.0.0/24"),
        ("mtu: 1400", "podCIDR: 10.244.0.1/16", "spec.network.podCIDR: 10.244.0.1/16 has host bits set"),
        ("mtu: 1400", "underlayCIDR: 192.168.0.0/31", "underlayCIDR 192.168.0.0/31 is too small"),
        ("mtu: 1400", "managementCIDR: 192.168.0.0/30", "managementCIDR 192.168.0.0/30 is too small for 2 nodes"),
        ("podCIDR: 10.244.7.0/24", "podCIDR: 10.1.7.0/24", "podCIDR 10.1.7.0/24 is outside network.podCIDR"),
        (
            "podCIDR: 10.244.7.0/24",
            "podCIDR: 10.244.0.0/16",
            "lab.yaml:16: node 'n2': a node's pod CIDR of /16 is not supported; use /17 to /28",
        ),
        (
            "[n2, s1]",
            "[n2, s2]",
            "lab.yaml:25: link 'n2-s2': 's2' is no node, switch, router or outside host",
        ),
        ("[n2, s1]", "[n2, n2]", "link 'n2-n2': both ends are 'n2'"),
        ("[n2, s1]", "[n1, s1]", "2 links are named 'n1-s1'; give parallel links a name of their own"),
        ("[n2, s1]", "[n1, r1]", "lab.yaml:13: node 'n1' has 2 links; it must have exactly one"),
        ("[s1, r1]", "[r1, world]", "outside host 'world' has 2 links; it must have exactly one"),
        (
            "- name: n2",
            "- name: n1",
            "lab.yaml:15: the name 'n1' is given to 2 nodes, switches, routers",
        ),
        ("name: n2\n", "name: N2\n", "spec.nodes[1].name: 'N2' is no name: use lower-case letters, digits"),
        ("- name: n1\n", "- name: {}\n", "lab.yaml:13"),
        ("jitter: 500us", "jitter: 3ms", "jitter above delay would send packets back in time"),
        ("delay: 2ms\n", "\n", "jitter needs a delay to vary"),
        ("- name: s1\n", "- name: s1\n  - name: lo\n", "'lo' is a name that the kernel gives to interfaces"),
        (
            "  nodes:\n",
            "  nodes: []\n  switche:\n",
            "lab.yaml:13: spec.switche: unknown field 'switche'",
        ),
        ("kind: Topology", "kind: Topologie", "expected exactly one document of kind Topology, found 0"),
        ("name: lab", "name: lab\n  name: lab", "lab.yaml:5"),
        ("[s1, r1]", "[s1, r1", "lab.yaml:"),
    ],
)
def test_mistakes_are_refused_with_line_field_and_remedy(tmp_path: Path, old: str, new: str, words: str) -> None:
    """A wrong line of a good file is named; nothing is created."""
    assert GOOD.count(old) == 1
    assert words in _refusal(tmp_path, GOOD.replace(old, new))


def test_names_must_fit_the_interfaces_that_they_name(tmp_path: Path) -> None:
    """A name whose longest interface name has more than 15 characters is refused with that interface name."""
    text = GOOD.replace("n1", "worker-seventeen")
    assert (
        "lab.yaml:13: 'worker-seventeen': interface name 'worker-seventeen-eth0' has 21 characters, Linux allows 15"
        in _refusal(tmp_path, text)
    )


def test_a_topology_in_two_parts_is_refused(tmp_path: Path) -> None:
    """Two islands are named by a member of each."""
    text = GOOD.replace("endpoints: [s1, r1]", "endpoints: [s1, r2]").replace(
        "- name: r1\n", "- name: r1\n  - name: r2\n"
    )
    assert "lab.yaml:20: the topology falls into 2 parts; 'r1' is not linked to 'n1'" in _refusal(tmp_path, text)


def test_loops_of_switches_are_refused(tmp_path: Path) -> None:
    """A ring of switches is refused with the advice to use routers."""
    text = GOOD.replace("- name: s1\n", "- name: s1\n  - name: s2\n").replace(
        "  - name: uplink", "  - endpoints: [s1, s2]\n  - {name: second, endpoints: [s1, s2]}\n  - name: uplink"
    )
    words = _refusal(tmp_path, text)
    assert words.startswith("lab.yaml:18: the switches")
    assert "form a loop and there is no spanning tree here: make them routers" in words


HOSTILE = {
    "alias bomb": "a: &a [x,x,x,x,x,x,x,x,x]\n"
    + "".join(f"{b}: &{b} [{','.join(['*' + a] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)),
    "deep": "[" * 100_000,
    "truncated": GOOD[: len(GOOD) // 2] + "  - {",
    "huge": GOOD + "#" * 40_000_000,
    "binary": "\0\1\2",
    "many nodes": GOOD.replace("  - name: n1", "\n".join(f"  - name: x{i}" for i in range(50_000)) + "\n  - name: n1"),
    "not a mapping": "- 1\n- 2\n",
    "empty": "",
    "recursive": "&a [*a]",
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_files_are_refused_quickly(tmp_path: Path, kind: str) -> None:
    """Alias bombs, depth, size, truncation and the like end in an error that names the file, within 10 seconds."""
    began = time.process_time()
    words = _refusal(tmp_path, HOSTILE[kind])
    assert words.startswith("lab.yaml")
    assert time.process_time() - began < 10


_SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-3, 70000)
    | st.floats()
    | st.sampled_from(
        [
            "n1",
            "n2",
            "s1",
            "r1",
            "",
            "1mbit",
            "2ms",
            "10.0.0.0/8",
            "0.0.0.0/0",
            "10.244.0.0/28",
            "vxlan",
            "5%",
            "direct",
        ]
    )
)
_ANYTHING = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
_VERTICES = st.lists(
    st.fixed_dictionaries({"name": st.sampled_from(["n1", "n2", "s1", "s2", "r1", "r2", "lo"])}), max_size=3
)
_LINKS = st.lists(
    st.fixed_dictionaries(
        {"endpoints": st.lists(st.sampled_from(["n1", "n2", "s1", "s2", "r1", "r2", "zz"]), min_size=2, max_size=2)},
        optional=dict.fromkeys(("name", "rate", "delay", "jitter", "loss", "queue", "mtu"), _SCALARS),
    ),
    max_size=6,
)
_FIELDS = (
    "overlay", "datapath", "podCIDR", "nodeCIDRMaskSize", "serviceCIDR", "underlayCIDR", "managementCIDR", "mtu",
    "loadBalancerCIDR", "services", "loadBalancer", "dnsReplicas", "dnsUpstream",
)  # fmt: skip
_NETWORKS = st.fixed_dictionaries({}, optional=dict.fromkeys(_FIELDS, _SCALARS))
_SPECS = st.fixed_dictionaries(
    {"nodes": _VERTICES | _ANYTHING, "links": _LINKS | _ANYTHING},
    optional={"network": _NETWORKS | _ANYTHING, "switches": _VERTICES, "routers": _VERTICES, "outside": _VERTICES},
)


@pytest.mark.slow
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(_SPECS | _ANYTHING)
def test_random_documents_are_understood_or_refused(spec: Any) -> None:
    """Whatever a document holds, the answer is a plan or an InvalidInputError that names a line."""
    document = {"apiVersion": "kubinet.dev/v1", "kind": "Topology", "metadata": {"name": "x"}, "spec": spec}
    try:
        make_plan(load_topology(json.dumps(document, indent=1)))
    except InvalidInputError as error:
        assert re.match(r"topology:\d+", str(error)), str(error)


def test_show_keeps_auto_so_that_the_file_works_elsewhere() -> None:
    """A resolved document says `datapath: auto` until a machine has chosen."""
    assert resolve_topology("star")["spec"]["network"]["datapath"] == "auto"


def test_the_schema_offers_what_the_product_has() -> None:
    """The schema's choices of Service proxies and load-balancing algorithms are those of `kubinet.state`."""
    fields = schema()["$defs"]["network"]["properties"]
    assert fields["services"]["enum"] == [str(choice) for choice in ServiceProxy]
    assert fields["loadBalancer"]["enum"] == [str(choice) for choice in Algorithm]
    assert set(fields) == {*network_to_document(NetworkConfig()), "dnsUpstream"}
