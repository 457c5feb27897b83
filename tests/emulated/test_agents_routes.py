"""A node's own routes and rules, with packets: gw0 leads to a namespace that stands in for br-int and a pod."""

import subprocess
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import Any

import pytest
from hosts import TCP, UDP, ask, new_host, node_setup, server, shell
from sandboxed import call_sandboxed

from agents.node_routes import own_port_rule
from kubinet.netlink import Netlink, add_rule, delete_rule
from kubinet.netns import namespace, of_process, set_sysctls
from kubinet.state import ClusterFacts, NetworkConfig, NodeFacts, ServiceProxy

pytestmark = pytest.mark.emulated

OWN, MAC = "172.18.0.1", "0a:58:0a:f4:01:01"
# The stand-in is pod and switch at once: it answers for every address and translates the node port as br-int does.
SWITCH = """
table ip standin {
  chain before {
    type nat hook prerouting priority dstnat
    ip daddr 172.18.0.1 tcp dport 30080 dnat to 10.244.1.5:80
    ip daddr 172.18.0.1 udp dport 30080 dnat to 10.244.1.5:80
    ip daddr 10.96.0.10 tcp dport 80 dnat to 10.244.1.5:80
    ip daddr 10.96.0.11 tcp dport 80 dnat to 169.254.1.2:1
    ip daddr 172.31.0.1 tcp dport 80 dnat to 10.244.1.5:80
  }
  chain after {
    type nat hook postrouting priority srcnat
    ip daddr 169.254.1.2 snat to 169.254.1.1
  }
}
"""


def _node(services: str) -> tuple[NodeFacts, ClusterFacts, int]:
    node_pid, switch = new_host(), new_host()
    node = NodeFacts(
        name="n1",
        index=1,
        pid=node_pid,
        interface="n1-eth0",
        mac="06:00:00:00:00:01",
        underlay=IPv4Interface(f"{OWN}/24"),
        gateway=None,
        gateway_mac=None,
        management=IPv4Interface("172.30.0.2/16"),
        pod_cidr=IPv4Network("10.244.1.0/24"),
    )
    inside = f"nsenter -t {node_pid} -n"
    shell(f"{inside} ip link add n1-eth0 type veth peer name far; {inside} ip link set far up")
    shell(f"{inside} ip link add br-phy type veth peer name far2; {inside} ip link set far2 up")
    shell(f"{inside} ip link add gw0 address {MAC} type veth peer name eth0 address aa:bb:cc:dd:ee:ff netns {switch}")
    with namespace(of_process(node_pid)):
        set_sysctls(node_setup().NODE_SYSCTLS)
    facts = ClusterFacts("t", NetworkConfig(services=ServiceProxy(services)), IPv4Address("172.30.0.1"), (node,))
    node_setup().configure_interfaces(facts, node)
    node_setup().configure_interfaces(facts, node)  # as on every start of the agents
    with namespace(of_process(switch)):
        set_sysctls({"net.ipv4.ip_forward": "1", "net.ipv4.conf.all.rp_filter": "0"})
    outside = f"nsenter -t {switch} -n"
    shell(
        f"{outside} sh -c 'ip link set eth0 up mtu 1450; ip addr add 10.244.1.5/32 dev eth0;"
        f"ip route add 10.244.1.1 dev eth0; ip route add 169.254.1.2 via 10.244.1.1 dev eth0 onlink;"
        f"ip route add {OWN} via 10.244.1.1 dev eth0 onlink;"
        f"ip neigh add 10.244.1.1 lladdr {MAC} dev eth0 nud permanent'"
    )
    subprocess.run([*outside.split(), "nft", "-f", "-"], input=SWITCH, text=True, check=True)
    return node, facts, switch


def reach_services() -> dict[str, Any]:
    node, _, switch = _node("sdn")
    found: dict[str, Any] = {}
    tcp, udp = TCP, UDP
    with (
        server(switch, "10.244.1.5", 80, tcp, "pod"),
        server(switch, "10.244.1.5", 80, udp, "pod"),
        server(node.pid, "0.0.0.0", 8080, tcp, "node"),
        server(node.pid, "0.0.0.0", 30999, tcp, "node"),
    ):
        for name, address, port, kind in (
            ("cluster IP", "10.96.0.10", 80, tcp),
            ("load balancer", "172.31.0.1", 80, tcp),
            ("node port, TCP", OWN, 30080, tcp),
            ("node port, UDP", OWN, 30080, udp),
            ("own port", OWN, 8080, tcp),
            ("loopback", "127.0.0.1", 30999, tcp),
            ("own closed port", OWN, 8081, tcp),
            ("no endpoint", "10.96.0.11", 80, tcp),
        ):
            found[name] = ask(node.pid, address, port, kind)
        found["no endpoint, 100 times"] = [ask(node.pid, "10.96.0.11", 80) for _ in range(100)].count("refused")
        with Netlink(of_process(node.pid)) as channel:
            channel.run([add_rule(own_port_rule(node, 30999))])
            found["exempt port"] = ask(node.pid, OWN, 30999)
            channel.run([delete_rule(own_port_rule(node, 30999))])
        found["rules"] = [" ".join(line.split()) for line in shell(f"nsenter -t {node.pid} -n ip rule").splitlines()]
    return found


def refuse_datagrams() -> dict[str, Any]:
    node, _, switch = _node("sdn")
    answers = [ask(switch, "169.254.1.2", 1, UDP) for _ in range(60)]
    return {"refused": answers.count("refused"), "of": len(answers), "node": node.name}


def rules_with_nftables() -> list[str]:
    node, _, _ = _node("nftables")
    return [" ".join(line.split()) for line in shell(f"nsenter -t {node.pid} -n ip rule").splitlines()]


def test_a_nodes_own_processes_reach_services_and_their_own_ports() -> None:
    """Cluster IPs, balancers' addresses and the node's own node ports lead to gw0, with the gateway's address or, to
    balancers', the node's own; other own ports stay local."""
    found = call_sandboxed(reach_services)
    assert found == {
        "cluster IP": "pod 10.244.1.1",
        "load balancer": f"pod {OWN}",
        "node port, TCP": "pod 10.244.1.1",
        "node port, UDP": "pod 10.244.1.1",
        "own port": f"node {OWN}",
        "loopback": "node 127.0.0.1",
        "own closed port": "refused",
        "no endpoint": "refused",
        "no endpoint, 100 times": 100,
        "exempt port": f"node {OWN}",
        "rules": [
            "10: from all to 172.18.0.1 iif lo ipproto tcp dport 30000-32767 lookup 100",
            "10: from all to 172.18.0.1 iif lo ipproto udp dport 30000-32767 lookup 100",
            "10: from all to 172.18.0.1 iif lo ipproto sctp dport 30000-32767 lookup 100",
            "20: from all lookup local",
            "32766: from all lookup main",
            "32767: from all lookup default",
        ],
    }


def test_datagrams_are_refused_without_a_limit() -> None:
    """60 datagrams in a row to the address for refusals: 60 refusals; the kernel's own limit would let few through."""
    assert call_sandboxed(refuse_datagrams) == {"refused": 60, "of": 60, "node": "n1"}


def test_with_nftables_the_local_table_comes_first() -> None:
    """Where the node's kernel serves its own node ports, there is no rule beside the kernel's three."""
    assert call_sandboxed(rules_with_nftables) == [
        "0: from all lookup local",
        "32766: from all lookup main",
        "32767: from all lookup default",
    ]
