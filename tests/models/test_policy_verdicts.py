"""The oracle and the flows agree: what the specification says of a packet is what the policies' tables do with it."""

from ipaddress import IPv4Address

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from policyclusters import clusters
from policymodel import Packet, egress, ingress, models_of

from kubinet.policy import Oracle
from kubinet.state import ClusterState
from kubinet.transport import Protocol

OUTSIDE = [IPv4Address("192.0.2.9"), IPv4Address("198.51.100.1")]
PROBES = [(Protocol.TCP, 80), (Protocol.TCP, 8080), (Protocol.UDP, 53), (Protocol.SCTP, 80), (None, 0)]


@given(clusters(), st.data())
@settings(
    max_examples=150,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow],
)
def test_the_tables_say_what_the_oracle_says(state: ClusterState, data: st.DataObject) -> None:
    """Every pair of pods, nodes' stacks and outside hosts, on TCP, UDP, SCTP and without ports: both directions."""
    oracle, models = Oracle(state), models_of(state)
    pods = [oracle.party(pod.address) for pod in state.pods.values()]
    others = [oracle.party(node.pod_gateway) for node in state.nodes.values()] + [oracle.party(a) for a in OUTSIDE]
    for source in [*pods, *others]:
        for to in [*pods, *others]:
            if source.address == to.address or not (source.pod or to.pod):
                continue
            protocol, port = data.draw(st.sampled_from(PROBES))
            said = oracle.judge(source, to, protocol, port)
            number = 1 if protocol is None else int(protocol)
            if source.pod:
                packet = Packet.of(int(source.address), int(to.address), number, port)
                did = egress(state, models, source, packet)
                assert did == said.egress.allowed, (source, to, protocol, port, said.egress)
            if to.pod:
                packet = Packet.of(int(source.address), int(to.address), number, port)
                did = ingress(state, models, to, packet, source)
                assert did == said.ingress.allowed, (source, to, protocol, port, said.ingress)
