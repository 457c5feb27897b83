"""What measurements make of their looks: growth of counters, levels as they are, labels."""

from collections.abc import Iterable

from experiments.measurements import conntrack, controller, links, ovs, queues
from experiments.scene import Reading

Row = tuple[str, float, str]


def rows(readings: Iterable[Reading]) -> list[Row]:
    return [(one.metric, round(one.value, 6), one.source) for one in readings]


def test_ovs_counters_are_recorded_as_their_growth() -> None:
    """The first look has levels alone; a restarted Open vSwitch counts from zero."""
    interpret = ovs.interpreter()
    looks = [{"datapath flows": 5, "hits": 100}, {"datapath flows": 7, "hits": 150}, {"datapath flows": 1, "hits": 10}]
    found = [rows(interpret({"time_s": 1.0, "found": {"n1": look}})) for look in looks]
    assert found == [
        [("datapath flows", 5, "n1")],
        [("datapath flows", 7, "n1"), ("hits", 50, "n1")],
        [("datapath flows", 1, "n1"), ("hits", 10, "n1")],
    ]


def test_a_node_that_does_not_answer_is_left_out() -> None:
    """The other node's readings go on."""
    interpret = ovs.interpreter()
    list(interpret({"time_s": 1.0, "found": {"n1": {"hits": 1}, "n2": {"hits": 1}}}))
    assert rows(interpret({"time_s": 2.0, "found": {"n2": {"hits": 3}}})) == [("hits", 2, "n2")]


def counters(sent_bytes: int) -> dict[str, int]:
    names = ("sent_packets", "received_bytes", "received_packets", "sent_dropped", "received_dropped", "index")
    return {"sent_bytes": sent_bytes, **dict.fromkeys(names, 0)}


def test_a_links_rate_is_of_the_time_between_looks() -> None:
    """125 kB in half a second are 2 Mbit/s; the first look only begins to count."""
    interpret = links.interpreter()
    first = list(interpret({"time_s": 10.0, "found": [["n1-s1", "n1", counters(1000), None]]}))
    second = list(interpret({"time_s": 10.5, "found": [["n1-s1", "n1", counters(126_000), None]]}))
    assert first == []
    assert [row for row in rows(second) if row[1]] == [("sent", 125_000, "n1"), ("rate", 2.0, "n1")]
    assert {one.labels["link"] for one in second} == {"n1-s1"}


def test_queues_say_what_waits_and_what_was_dropped_since() -> None:
    """Ends without a discipline are left out."""
    interpret = queues.interpreter()

    def look(drops: int) -> dict[str, object]:
        queue = {"kind": "tbf", "drops": drops, "queued_packets": 3, "queued_bytes": 4500}
        return {"time_s": 1.0, "found": [["n1-s1", "n1", {}, queue], ["n1-s1", "s1", {}, None]]}

    waiting = [("queued packets", 3.0, "n1"), ("queued", 4500.0, "n1")]
    assert rows(interpret(look(10))) == waiting
    assert rows(interpret(look(12))) == [*waiting, ("queue drops", 2.0, "n1")]


def test_conntrack_names_the_tracker() -> None:
    """Open vSwitch's by protocol, and the kernel's."""
    found = list(conntrack.interpret({"time_s": 1.0, "found": {"n1": {"Total": 3, "TCP": 3, "kernel": 0}}}))
    assert [(one.labels["tracker"], one.value) for one in found] == [("Total", 3), ("TCP", 3), ("kernel", 0)]


def test_a_controller_that_does_not_answer_is_counted() -> None:
    """No echo time, one unanswered echo; the nodes' state is of the API."""
    nodes = {"n1": {"generation": 3, "endpointGeneration": 9, "serviceGeneration": 9, "flows": 7, "groups": 1}}
    look = {"time_s": 1.0, "found": {"echo_ms": None, "nodes": nodes, "newest": {"Pod": 5}}}
    assert rows(controller.interpret(look)) == [
        ("unanswered echoes", 1, "controller"),
        ("versions behind", 2, "n1"),
        ("flows", 7, "n1"),
        ("groups", 1, "n1"),
        ("errors", 0, "n1"),
    ]
