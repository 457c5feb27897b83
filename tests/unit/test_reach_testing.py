"""PolicyTest documents: what they may say, what is asked, what fails and why, and the JUnit report."""

from dataclasses import replace
from ipaddress import IPv4Address
from typing import Any
from xml.etree import ElementTree

import pytest
from policyclusters import cluster, label, netpol, pod

from kubinet.documents import spell
from kubinet.errors import InvalidInputError
from kubinet.policies import Direction, PodPeer, PortRange, Rule
from kubinet.reach.expectations import PolicyTest, parse_policy_test
from kubinet.reach.junit import junit
from kubinet.reach.routes import Verdict
from kubinet.reach.testing import Observation, Outcome, Result, questions, result
from kubinet.reach.world import World
from kubinet.state import Endpoint, Service, ServicePort
from kubinet.transport import Protocol

FREE = "no policy selects it for egress; no policy selects it for ingress"


def document(*expectations: dict[str, Any], **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "kubinet.dev/v1",
        "kind": "PolicyTest",
        "metadata": {"name": "t"},
        "spec": {"expectations": list(expectations), **spec},
    }


def read(*expectations: dict[str, Any], **spec: Any) -> PolicyTest:
    return parse_policy_test(document(*expectations, **spec), spell)


def expect(source: Any, destination: Any, verdict: str, ports: Any = "80/TCP", **more: Any) -> dict[str, Any]:
    return {"from": source, "to": destination, "expect": verdict, "ports": ports, **more}


def world(**service: Any) -> World:
    """x/a on n1 admits x/b (n2) on 80/TCP; y/c (n1) is free. Service x/web: port 8080 to x/a and y/c, port 80."""
    rule = Rule((PodPeer(None, label("pod", "b")),), (PortRange(Protocol.TCP, 80, 80),))
    policy = netpol("p", label("pod", "a"), directions=frozenset({Direction.INGRESS}), ingress=[rule])
    pods = [pod("x", "a", 1, 2), pod("x", "b", 2, 3), pod("y", "c", 1, 4)]
    ends = tuple(Endpoint(one.address, 80, one.node) for one in (pods[0], pods[2]))
    ports = (ServicePort("", Protocol.TCP, 8080, 30080, ends),)
    web = Service("x", "web", IPv4Address("10.96.0.9"), ports, **service)
    state = replace(cluster([policy], pods), services={"x/web": web})
    return World(state, {"internet": IPv4Address("192.0.2.9")})


def run(*expectations: dict[str, Any], where: World | None = None) -> list[Result]:
    return [result(asked) for asked in questions(read(*expectations), where or world())]


def told(one: Result) -> list[str]:
    return [f"{failure.check.words}: {failure.why}" for failure in one.failures]


@pytest.mark.parametrize(
    ("source", "destination", "verdict", "more"),
    [
        ("x/b", "x/a", "allowed", {"policy": "x/p"}),
        ("y/*", "x/a", "denied", {"policy": "NetworkPolicy/x/p"}),
        ("y/*", "x/*", "denied", {"to": ["x/a"]}),
        (["y/c", "outside", "192.0.2.0/24", "node/n2"], "x/a", "denied", {}),
        ("node/n1", "x/a", "allowed", {}),
        ("x/b", "x/a", "allowed", {"only": "from"}),
        ("x/*", "y/c", "allowed", {"ports": "any"}),
        ("y/c", "x/a", "denied", {"ports": ["any", "ICMP", 80]}),
        ("x/b", "x/a", "denied", {"ports": "81-65535"}),
        ("x/b", "service/x/web", "allowed", {"ports": 8080}),
    ],
)
def test_expectations_that_hold(source: Any, destination: Any, verdict: str, more: dict[str, Any]) -> None:
    """Pods, nodes, the outside, blocks, Services; all ports; the deciding policy; nobody else."""
    (one,) = run({**expect(source, destination, verdict), **more})
    assert (one.outcome, told(one)) == (Outcome.PASSED, [])


@pytest.mark.parametrize(
    ("entry", "failures"),
    [
        (
            expect("y/c", "x/a", "allowed"),
            [
                "y/c > x/a 80/TCP: expected allowed, is denied: ingress: isolated for ingress by x/p; no rule allows it"
            ],
        ),
        (
            expect("x/b", "x/a", "allowed", policy="x/other"),
            [
                "x/b > x/a 80/TCP: is allowed as expected, but x/other does not decide it: ingress: isolated for "
                "ingress by x/p; allowed by x/p rule 0: peer pod=b, port 80/TCP"
            ],
        ),
        (
            expect("x/b", "y/c", "allowed", only="from"),
            [f"x/a > y/c 80/TCP: expected denied, is allowed: {FREE}"],
        ),
        (
            expect("x/b", "x/a", "allowed", only="to"),
            [f"x/b > y/c 80/TCP: expected denied, is allowed: {FREE}"],
        ),
        (
            expect("y/c", "service/x/web", "allowed", 8080),
            [
                "y/c > service/x/web 8080/TCP: expected allowed, is mixed: x/a:80: ingress: isolated for ingress by "
                "x/p; no rule allows it"
            ],
        ),
        (
            expect("x/b", "service/x/web", "allowed", 81),
            ["x/b > service/x/web 81/TCP: expected allowed, is nothing there: the Service has no port 81/TCP; it has "
             "8080/TCP"],
        ),
    ],
)  # fmt: skip
def test_expectations_that_fail_say_why(entry: dict[str, Any], failures: list[str]) -> None:
    """Each pair and port with what was expected, what is, and the oracle's reason."""
    (one,) = run(entry)
    assert (one.outcome, told(one)) == (Outcome.FAILED, failures)


def test_a_client_outside_is_judged_by_each_way_in() -> None:
    """It enters by n1 with its own address and by n2 as n2's pod gateway, unless the Service keeps to its node."""
    (one,) = run(expect("outside", "service/x/web", "denied", 8080))
    assert [route.way for route in questions(read(expect("outside", "service/x/web", "denied", 8080)), world())[0]
            .checks[0].answer.routes] == [" by n1", " by n1", " by n2", " by n2"]  # fmt: skip
    assert one.outcome is Outcome.FAILED
    local = world(external_local=True)
    asked = questions(read(expect("outside", "service/x/web", "denied", 8080)), local)[0].checks[0].answer
    assert [(route.destination, route.way) for route in asked.routes] == [("x/a:80", " by n1"), ("y/c:80", " by n1")]


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        (expect("x/nobody", "x/a", "denied"), "x/nobody names nobody"),
        (expect("x/a", "x/a", "allowed"), "nothing is asked: source and destination are the same pod"),
        (expect("outside", "node/n1", "allowed"), "nothing is asked"),
    ],
)
def test_what_cannot_be_asked_is_an_error(entry: dict[str, Any], why: str) -> None:
    """A test that cannot fail does not pass."""
    (one,) = run(entry)
    assert one.outcome is Outcome.ERROR
    assert why in one.trouble


def test_observations_count_beside_the_oracle() -> None:
    """What real probes have found must be as expected, too."""
    (asked,) = questions(read(expect("x/b", "x/a", "allowed")), world())
    silent = {"x/b > x/a 80/TCP": Observation(Verdict.DENIED, "no answer in 2 s")}
    passed = {"x/b > x/a 80/TCP": Observation(Verdict.ALLOWED, "answered")}
    assert told(result(asked, silent)) == [
        "x/b > x/a 80/TCP: expected allowed, but real packets are denied: no answer in 2 s"
    ]
    assert result(asked, passed).outcome is Outcome.PASSED
    (wrong,) = questions(read(expect("x/b", "x/a", "denied")), world())
    why = "ingress: isolated for ingress by x/p; allowed by x/p rule 0: peer pod=b, port 80/TCP"
    assert told(result(wrong, passed)) == [
        f"x/b > x/a 80/TCP: expected denied, is allowed: {why}; real packets are, too"
    ]
    assert told(result(wrong, silent)) == [
        f"x/b > x/a 80/TCP: expected denied, is allowed: {why}; but real packets are denied: no answer in 2 s"
    ]


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (document(), "spec.expectations: [] should be non-empty"),
        (document(expect("a", "b", "maybe")), "spec.expectations[0].expect: 'maybe' is not one of allowed, denied"),
        (document(expect("a", "b", "denied", colour=1)),
         "spec.expectations[0].colour: unknown field 'colour'; known: name, from, to, ports, expect, only, policy"),
        (document({"from": "a", "to": "b", "expect": "denied"}), "spec.expectations[0]: names no ports; write ports"),
        (document(expect("a", "b", "denied", "x")), "spec.expectations[0].ports: 'x' is no port"),
        (document(expect("a", "b", "denied", ["80", "x"])), "spec.expectations[0].ports[1]: 'x' is no port"),
        (document(expect(["a", "x/"], "b", "denied")), "spec.expectations[0].from[1]: 'x/' names nothing"),
        (document(expect("service/x/y", "b", "denied")), "spec.expectations[0].from: a Service sends nothing"),
        (document(expect("a", "service/x/y", "denied", "any")), "spec.expectations[0]: a Service is asked about"),
        (document(expect("a", "b", "denied", only="from")), "spec.expectations[0].only: goes with expect: allowed"),
        (document(expect("a", "b", "denied"), manifests=[1]), "spec.manifests[0]: must be a text, not 1"),
        ({**document(expect("a", "b", "denied")), "kind": "Test"}, "kind: must be 'PolicyTest', not 'Test'"),
    ],
)  # fmt: skip
def test_what_a_document_may_not_say(made: dict[str, Any], why: str) -> None:
    """The field is named, and what may stand there."""
    with pytest.raises(InvalidInputError) as caught:
        parse_policy_test(made, spell)
    assert str(caught.value).startswith(why)


def test_junit_has_a_case_for_each_expectation() -> None:
    """Names, counts, and the failures' words; an expectation without a name is called by what it says."""
    results = run(
        expect("x/b", "x/a", "allowed", name="b < a"), expect("y/c", "x/a", "allowed"), expect("x/q", "x/a", "denied")
    )
    root = ElementTree.fromstring(junit("shop", results, 1.5))
    (suite,) = root
    assert suite.attrib == {
        "name": "shop",
        "tests": "3",
        "failures": "1",
        "errors": "1",
        "skipped": "0",
        "time": "1.500",
    }
    assert [case.get("name") for case in suite] == [
        "b < a",
        "y/c > x/a on 80/TCP is allowed",
        "x/q > x/a on 80/TCP is denied",
    ]
    failure, error = suite[1][0], suite[2][0]
    assert (failure.tag, failure.get("message")) == ("failure", "1 of 1 are not as expected")
    assert (
        failure.text
        == "y/c > x/a 80/TCP: expected allowed, is denied: ingress: isolated for ingress by x/p; no rule allows it"
    )
    assert (error.tag, error.get("message")) == ("error", "x/q names nobody")
    assert len(suite[0]) == 0
