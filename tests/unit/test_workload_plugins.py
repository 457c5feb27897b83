"""Workloads and measurements as plug-ins: found, complete, documented, and careful about their settings."""

from importlib.resources import files
from ipaddress import IPv4Address
from pathlib import Path

import pytest
import yaml

from agents.watching.linkstats import link_ends
from agents.watching.processes import Process, group_of
from experiments import plugin_docs
from experiments.design.check import Surroundings, check
from experiments.design.document import parse_text
from experiments.measurements.common import Growth
from experiments.measurements.controller import behind
from experiments.measurements.processes import interpreter as processes_interpreter
from experiments.plugins import complete, measurements, workloads
from experiments.records import Value
from experiments.scene import Measurement, Workload
from experiments.workloads.call_graph import parse_calls
from experiments.workloads.common import End
from experiments.workloads.iperf3 import client_command
from experiments.workloads.until_ready import is_ready
from kubinet.errors import InvalidInputError, KubinetError

WORKLOADS = {
    "call-graph": {"from": "pod/a", "to": "pod/b", "calls": "pod/b -> pod/c"},
    "connection-rate": {"from": "pod/a", "to": "pod/b"},
    "dns": {"from": "pod/a", "names": "web"},
    "endpoint-removal": {"from": "pod/a", "to": "service/s", "servers": "pod/b, pod/c", "endpoint": "pod/b"},
    "flows": {"places": "pod/a, pod/b"},
    "fping": {"from": "pod/a", "to": "pod/b, pod/c"},
    "http": {"from": "pod/a", "to": "pod/b"},
    "idle": {},
    "incast": {"from": "pod/a, pod/b", "to": "pod/c"},
    "iperf3": {"from": "pod/a", "to": "pod/b"},
    "outage": {"from": "pod/a", "to": "pod/b"},
    "ping": {"from": "pod/a", "to": "pod/b"},
    "policy-enforcement": {"from": "pod/a", "to": "pod/b", "policy": "kind: NetworkPolicy"},
    "probe-stream": {"from": "pod/a", "to": "pod/b"},
    "request-response": {"from": "pod/a", "to": "pod/b"},
    "sockperf": {"from": "pod/a", "to": "pod/b"},
    "until-ready": {"objects": "Pod/a"},
}
"""Every kind with the settings that it must be given."""
MEASUREMENTS: dict[str, dict[str, Value]] = {
    "conntrack": {},
    "controller": {},
    "links": {},
    "ovs": {},
    "pcap": {"places": "pod/a, link/n1-s1"},
    "processes": {},
    "queues": {},
}
PLUGINS: list[tuple[Workload | Measurement, dict[str, Value]]] = [
    *((workloads[kind], dict(given)) for kind, given in WORKLOADS.items()),
    *((measurements[kind], given) for kind, given in MEASUREMENTS.items()),
]
IDENTITIES = [*WORKLOADS, *MEASUREMENTS]


def test_every_kind_is_known_here() -> None:
    """Kubinet's own plug-ins are installed with it."""
    assert set(WORKLOADS) <= set(workloads)
    assert set(MEASUREMENTS) <= set(measurements)


@pytest.mark.parametrize(("plugin", "given"), PLUGINS, ids=IDENTITIES)
def test_defaults_are_allowed(plugin: Workload | Measurement, given: dict[str, Value]) -> None:
    """Required settings and nothing else pass, with defaults and with the quick values."""
    settings = complete(plugin, given)
    plugin.check(settings)
    quick = {parameter.name: parameter.quick for parameter in plugin.parameters} | given
    plugin.check(complete(plugin, quick))
    if plugin in [workloads[kind] for kind in WORKLOADS]:
        assert plugin.duration_s(settings) > 0


@pytest.mark.parametrize(("plugin", "given"), PLUGINS, ids=IDENTITIES)
def test_what_is_required_is_said_when_it_is_missing(plugin: Workload | Measurement, given: dict[str, Value]) -> None:
    """Exactly the required settings are given above; each has no default that would do."""
    for name in plugin.required:
        assert name in given
        with pytest.raises(InvalidInputError, match=f"'{name}' is missing"):
            complete(plugin, {key: value for key, value in given.items() if key != name})


@pytest.mark.parametrize(("plugin", "given"), PLUGINS, ids=IDENTITIES)
def test_metrics_have_units_and_parameters_meanings(plugin: Workload | Measurement, given: dict[str, Value]) -> None:
    """A summary is a sentence; every parameter says what it means; no name comes twice."""
    assert plugin.summary.endswith(".")
    assert plugin.metrics
    assert all(plugin.metrics.values())
    assert all(parameter.meaning for parameter in plugin.parameters)
    names = [parameter.name for parameter in plugin.parameters]
    assert len(set(names)) == len(names)


def test_the_page_is_up_to_date() -> None:
    """docs/workloads-and-measurements.md has what the plug-ins say; `make docs` writes it."""
    existing = plugin_docs.PAGE.read_text()
    assert plugin_docs.page(existing) == existing


def test_programs_travel_with_frame_alone() -> None:
    """A program that is sent to a place imports the standard library and the frame, nothing else of Kubinet."""
    folder = files("experiments.programs")
    for name in ("answer_server", "call_server", "connection_client", "dns_client", "flow_client", "request_client"):
        lines = folder.joinpath(f"{name}.py").read_text().splitlines()
        own = [
            line
            for line in lines
            if line.startswith(("from ", "import ")) and ("experiments" in line or "kubinet" in line)
        ]
        assert [line.split(" import ")[0] for line in own] == ["from experiments.programs.frame"]


@pytest.mark.parametrize(
    ("kind", "change", "message"),
    [
        ("ping", {"from": "service/web"}, "programs cannot run at 'service/web'; a place is pod/NAME"),
        ("ping", {"payload": 70000}, "'payload': 70000 is above its maximum 65507"),
        ("ping", {"count": "many"}, "'count': 'many' is not a whole number"),
        ("ping", {"colour": "red"}, "unknown field 'colour'"),
        ("iperf3", {"to": "service/web"}, "'service/web' is no place, so name the places that serve it"),
        ("iperf3", {"protocol": "sctp"}, "'protocol': 'sctp' is none of tcp, udp"),
        ("iperf3", {"protocol": "udp", "mss": 1000}, "'mss' and 'congestion' are TCP's"),
        ("iperf3", {"rate": "fast"}, "'rate': 'fast' is not a rate such as 100mbit"),
        ("request-response", {"protocol": "udp", "response": 66000}, "a UDP datagram carries at most 65483 bytes"),
        ("dns", {"from": "node/n1"}, "node/n1 is no pod, so name the DNS server's address"),
        ("dns", {"rdtype": "AXFR"}, "'rdtype': 'AXFR' is none of A, NS"),
        ("probe-stream", {"to": "service/web", "servers": "none"}, "'service/web' is no place"),
        ("flows", {"places": "pod/a"}, "flows need at least two places"),
        ("flows", {"sizes": "huge"}, "flow sizes 'huge'"),
        ("incast", {"to": "pod/c, pod/d"}, "incast has one receiver"),
        ("http", {"threads": 8}, "wrk needs a connection for each"),
        ("http", {"path": "index"}, "'index' does not begin with /"),
        ("call-graph", {"calls": "pod/b -> pod/b"}, "pod/b -> pod/b is a circle"),
        ("call-graph", {"calls": "pod/b -> service/x"}, "name the places that serve service/x"),
        ("endpoint-removal", {"endpoint": "pod/z"}, "'pod/z' is no pod among 'servers'"),
        (
            "until-ready",
            {"objects": "Service/web"},
            "parameter 'objects': Service/web does not become ready; kinds are Pod, Job, DaemonSet, Deployment",
        ),
    ],
)
def test_wrong_settings_of_workloads_are_refused(kind: str, change: dict[str, Value], message: str) -> None:
    """Before anything is started, with the parameter and the remedy."""
    with pytest.raises(InvalidInputError) as caught:
        workloads[kind].check(complete(workloads[kind], WORKLOADS[kind] | change))
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "change", "message"),
    [
        ("ovs", {"every": "5ms"}, "'every': looks cost time; at least 20ms"),
        ("links", {"every": "soon"}, "'every': 'soon' is not a time such as 500us or 2ms"),
        ("pcap", {"places": "service/web"}, "'service/web' is none of pod/NAME"),
    ],
)
def test_wrong_settings_of_measurements_are_refused(kind: str, change: dict[str, Value], message: str) -> None:
    """Before anything is started, with the parameter and the remedy."""
    with pytest.raises(InvalidInputError) as caught:
        measurements[kind].check(complete(measurements[kind], MEASUREMENTS[kind] | change))
    assert message in str(caught.value)


def test_iperf_commands() -> None:
    """Only what is set becomes an option."""
    target = End("pod/b", IPv4Address("10.244.1.2"), 5201)
    plain = complete(workloads["iperf3"], WORKLOADS["iperf3"])
    base = "iperf3 -c 10.244.1.2 -p 5201 -J -i 0.5 -t 5 -O 1 -P 1 --connect-timeout 5000"
    assert " ".join(client_command(target, plain)) == base
    special = {"protocol": "udp", "rate": "20mbit", "length": 1000, "reverse": True}
    assert " ".join(client_command(target, {**plain, **special})) == f"{base} -u -R -b 20000000 -l 1000"


def test_call_graphs() -> None:
    """Callers with their callees in order; several lines for one caller add up."""
    assert parse_calls("pod/a -> pod/b, service/c; pod/b -> pod/d\npod/a -> pod/d") == {
        "pod/a": ("pod/b", "service/c", "pod/d"),
        "pod/b": ("pod/d",),
    }
    with pytest.raises(InvalidInputError, match="pod/a -> pod/b -> pod/a is a circle"):
        parse_calls("pod/a -> pod/b; pod/b -> pod/a")


@pytest.mark.parametrize(
    ("kind", "obj", "expected"),
    [
        ("Pod", None, False),
        ("Pod", {"metadata": {}, "status": {"conditions": [{"type": "Ready", "status": "True"}]}}, True),
        ("Pod", {"metadata": {}, "status": {"conditions": [{"type": "Ready", "status": "False"}]}}, False),
        ("Job", {"metadata": {}, "status": {"conditions": [{"type": "Complete", "status": "True"}]}}, True),
        (
            "Deployment",
            {
                "metadata": {"generation": 2},
                "spec": {"replicas": 2},
                "status": {"observedGeneration": 1, "readyReplicas": 2},
            },
            False,
        ),
        (
            "Deployment",
            {
                "metadata": {"generation": 2},
                "spec": {"replicas": 2},
                "status": {"observedGeneration": 2, "readyReplicas": 2},
            },
            True,
        ),
        (
            "Deployment",
            {"metadata": {"generation": 1}, "spec": {"replicas": 0}, "status": {"observedGeneration": 1}},
            True,
        ),
        ("DaemonSet", {"metadata": {}, "status": {"desiredNumberScheduled": 2, "numberReady": 1}}, False),
        ("DaemonSet", {"metadata": {}, "status": {"desiredNumberScheduled": 2, "numberReady": 2}}, True),
    ],
)
def test_when_objects_are_ready(kind: str, obj: dict[str, object] | None, expected: bool) -> None:
    """A workload object's status must be of its present generation."""
    assert is_ready(kind, obj) is expected


def test_growth_of_counters() -> None:
    """Since the look before; a counter that began again counts from zero."""
    growth = Growth()
    assert [growth.of("x", value) for value in (10, 15, 15, 3)] == [0, 5, 0, 3]


@pytest.mark.parametrize(
    ("process", "group"),
    [
        (Process(2, 1, "python -m topologies.supervisor /state 5 ", False), ("api", "")),
        (Process(9, 3, "python -S -E -m agents.runtime.main c /run/kubinet ", False), ("runtime", "")),
        (Process(65, 1, "ovs-vswitchd unix:/run/kubinet/nodes/n1/db.sock ", False), ("ovs-vswitchd", "n1")),
        (Process(62, 1, "/usr/sbin/ovsdb-server /run/kubinet/nodes/n2/conf.db ", False), ("ovsdb-server", "n2")),
        (Process(120, 9, "/usr/bin/python3 -IS /coredns ", True), ("pods", "")),
        (Process(130, 0, "python -m agents.watching ovs ", False), ("measurement", "")),
        (Process(131, 0, "iperf3 -s ", False), ("other", "")),
    ],
)
def test_groups_of_processes(process: Process, group: tuple[str, str]) -> None:
    """Services by their pid, Open vSwitch by its node, containers by their namespace, the rest is other."""
    assert group_of(process, {1: "supervisor", 2: "api"}) == group


def test_cpu_is_of_the_time_between_two_looks() -> None:
    """Half a second of CPU in one second is 50 % of one CPU; the first look has memory alone."""
    interpret = processes_interpreter()
    first = list(interpret({"time_s": 10.0, "found": [["api", "", 1.0, 50.0]]}))
    second = list(interpret({"time_s": 11.0, "found": [["api", "", 1.5, 60.0]]}))
    assert [(one.metric, one.value) for one in first] == [("memory", 50.0)]
    assert [(one.metric, one.value, one.labels["group"]) for one in second] == [
        ("memory", 60.0, "api"),
        ("cpu", 50.0, "api"),
    ]


def test_how_far_nodes_are_behind() -> None:
    """The most of pods, slices and Services; policies' bookkeeping does not count."""
    nodes = {"n1": {"generation": 10, "endpointGeneration": 12, "serviceGeneration": 5}, "n2": {"generation": 20}}
    assert behind(nodes, {"Pod": 15, "EndpointSlice": 12, "Service": 5}) == {"n1": 5, "n2": 12}


def test_unknown_links_are_refused_with_those_that_there_are() -> None:
    """Both ends of those wanted."""
    listing = [
        {
            "name": "n1-s1",
            "ends": [
                {"vertex": "n1", "interface": "n1-eth0", "pid": 5},
                {"vertex": "s1", "interface": "s1-eth0", "pid": 6},
            ],
        }
    ]
    assert [(end.vertex, end.pid) for end in link_ends(listing)] == [("n1", 5), ("s1", 6)]
    with pytest.raises(KubinetError, match="there is no link 'x'; there are n1-s1"):
        link_ends(listing, ("x",))


def test_every_kind_can_be_written_in_an_experiments_file() -> None:
    """The file's own checks take all plug-ins with the settings above."""
    spec = {
        "question": "Do all go?",
        "summary": "all plug-ins",
        "topology": {"preset": "star", "nodes": 2},
        "workload": [{"kind": kind, **given} for kind, given in WORKLOADS.items()],
        "measurements": [{"kind": kind, **given} for kind, given in MEASUREMENTS.items()],
        "expect": {"runSeconds": 60, "runBytes": "1MB"},
    }
    document = {"apiVersion": "kubinet.dev/v1", "kind": "Experiment", "metadata": {"name": "all"}, "spec": spec}
    file = parse_text(yaml.safe_dump(document), "all.yaml", Path())
    check(file.design, Surroundings(workloads, measurements, lambda _: "/bin/true", lambda *_: None), file.where)
    assert [one.kind for one in file.design.workload] == list(WORKLOADS)
