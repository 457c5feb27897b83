"""Random policies in random clusters: what the installed flows do is what the oracle says."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from ipaddress import IPv4Address

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from policyclusters import cluster, clusters, label, netpol
from walking import WalkedCluster

from controller.walk.hops import SwitchHop
from controller.walk.question import FromNode, FromOutside, FromPod, Question
from controller.walk.walker import Walker
from kubinet.policies import Action, Direction, PodPeer, Policy, Rule, Tier
from kubinet.policy import Judgement, Oracle
from kubinet.state import ClusterState, Endpoint, Established, Overlay, Service, ServicePort, ServiceProxy
from kubinet.transport import Protocol

pytestmark = pytest.mark.ovs

QUESTIONS = 12
EXAMPLES = 90
"""Clusters for each overlay: with the questions of each more than 2,000."""
VIP, NODE_PORT, OUTSIDE = IPv4Address("10.96.0.10"), 30080, IPv4Address("192.0.2.9")
PROTOCOLS = [Protocol.TCP, Protocol.TCP, Protocol.UDP, Protocol.SCTP, None]


@pytest.fixture(scope="module", params=[Overlay.VXLAN, Overlay.DIRECT], ids=str)
def walked(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WalkedCluster]:
    """n1, n2 and n3."""
    state = cluster(nodes=3)
    state = replace(state, network=replace(state.network, overlay=request.param))
    found = WalkedCluster(tmp_path_factory.mktemp("walk"), state, pod_ports=12)
    yield found
    found.close()


@dataclass(frozen=True)
class Case:
    """A question, and what policies judge: both ends as they are after translation."""

    question: Question
    source: IPv4Address
    receiver: IPv4Address
    port: int
    served: bool = False

    def judged(self, oracle: Oracle) -> Judgement:
        ends = oracle.party(self.source), oracle.party(self.receiver)
        return oracle.judge(*ends, self.question.protocol, self.port, through_service=self.served)


@st.composite
def states(draw: st.DrawFn) -> ClusterState:
    """A cluster with a Service of one pod."""
    drawn = draw(clusters())
    network = replace(drawn.network, services=ServiceProxy.SDN, established=draw(st.sampled_from(Established)))
    keys = sorted(drawn.pods)
    if not keys:
        return replace(drawn, network=network)
    pod = drawn.pods[draw(st.sampled_from(keys))]
    port = ServicePort("web", Protocol.TCP, 80, NODE_PORT, (Endpoint(pod.address, 8080, pod.node),))
    return replace(drawn, network=network, services={"x/web": Service("x", "web", VIP, (port,))})


@st.composite
def cases(draw: st.DrawFn, state: ClusterState) -> Case:
    """Pods, nodes and the outside; to pods, nodes and the outside; directly and through the Service."""
    established = draw(st.booleans())
    endpoint = state.services["x/web"].ports[0].endpoints[0] if state.services else None
    sender = draw(st.sampled_from([*sorted(state.pods), *sorted(state.nodes), "outside"][: None if endpoint else -1]))
    if sender == "outside":
        assert endpoint is not None
        node = state.nodes[draw(st.sampled_from(sorted(state.nodes)))]
        question = Question(FromOutside(OUTSIDE), node.underlay.ip, Protocol.TCP, NODE_PORT, established=established)
        # Where the connection goes on to another node it is judged there, as the first node's.
        source = OUTSIDE if endpoint.node == node.name else node.pod_gateway
        return Case(question, source, endpoint.address, endpoint.port, served=True)
    pod, own = state.pods.get(sender), state.nodes.get(sender)
    addresses = [one.address for one in state.pods.values()] + [OUTSIDE]
    addresses += [node.underlay.ip for node in state.nodes.values()] + [VIP] * 3 * bool(endpoint)
    address, protocol = draw(st.sampled_from(addresses)), draw(st.sampled_from(PROTOCOLS))
    port = draw(st.sampled_from([80, 53, 81, 8080])) if protocol is not None else 0
    if address == VIP:
        protocol, port = Protocol.TCP, 80
    source = pod.address if pod is not None else own.pod_gateway if own is not None else OUTSIDE
    asker = FromPod(pod) if pod is not None else FromNode(state.nodes[sender])
    question = Question(asker, address, protocol, port, established=established)
    if address == VIP and endpoint is not None:
        return Case(question, source, endpoint.address, endpoint.port, served=True)
    return Case(question, source, address, port)


@given(states(), st.data())
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
def test_the_flows_do_what_the_oracle_says(walked: WalkedCluster, drawn: ClusterState, data: st.DataObject) -> None:
    """New connections and established ones, which end where a policy forbids them unless they are to be kept."""
    state = replace(drawn, network=replace(drawn.network, overlay=Overlay(walked.overlay)))
    walked.bring(state)
    oracle, walker = Oracle(state), Walker(state, walked)
    for _ in range(QUESTIONS):
        case = data.draw(cases(state))
        journey, said = walker.journey(case.question), case.judged(oracle)
        kept = case.question.established and state.network.established is Established.KEEP
        assert journey.delivered == (said.allowed or kept), f"{case}: {journey.request.outcome}, {said}"


def test_a_baseline_rule_counts_where_a_pod_reaches_itself(walked: WalkedCluster) -> None:
    """Through its Service a NetworkPolicy that isolates the pod does not count, and hides no Baseline rule."""
    isolated = netpol("deny", directions=frozenset({Direction.INGRESS}))
    everyone = PodPeer(label("ns", "x"))
    rules = (Rule((everyone,), None, Action.DENY),)
    deny = Policy("ClusterNetworkPolicy", "no", "", Tier.BASELINE, everyone, frozenset({Direction.INGRESS}), rules)
    for policies, delivered in (((isolated,), True), ((isolated, deny), False)):
        state = cluster(policies, nodes=3)
        pod = state.pods["x/a"]
        port = ServicePort("web", Protocol.TCP, 80, None, (Endpoint(pod.address, 8080, pod.node),))
        network = replace(state.network, overlay=Overlay(walked.overlay))
        state = replace(state, network=network, services={"x/web": Service("x", "web", VIP, (port,))})
        walked.bring(state)
        assert Walker(state, walked).journey(Question(FromPod(pod), VIP, Protocol.TCP, 80)).delivered == delivered


@pytest.mark.parametrize(
    ("direction", "denied_by", "ends_at"),
    [
        (Direction.EGRESS, ["EgressPolicy", "PolicyDeny"], ("n1", "EgressEntry")),
        (Direction.INGRESS, ["IngressPolicy", "PolicyDeny"], ("n2", "EgressEntry")),
    ],
)
def test_a_denied_established_connection_loses_its_answers_too(
    walked: WalkedCluster, direction: Direction, denied_by: list[str], ends_at: tuple[str, str]
) -> None:
    """The request's packet marks the connection where it is denied; what the server sends ends there."""
    state = cluster([netpol("deny", directions=frozenset({direction}))], nodes=3)
    state = replace(state, network=replace(state.network, overlay=Overlay(walked.overlay)))
    walked.bring(state)
    asked = Question(FromPod(state.pods["x/a"]), state.pods["x/b"].address, Protocol.TCP, 80, established=True)
    journey = Walker(state, walked).journey(asked)
    hop = journey.request.hops[-1]
    assert isinstance(hop, SwitchHop)
    assert [step.table for step in hop.steps][-2:] == denied_by
    assert journey.reply is not None
    end = journey.reply.outcome
    assert end.step is not None
    assert ((end.node, end.step.table), end.step.match) == (ends_at, "ct_state=+rpl+trk,ct_mark=0x100/0x100,ip")
