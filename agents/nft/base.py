"""The part of the ruleset that no Service changes: hooks, shared maps, and what becomes of packets no Service wants.

A new connection's way: `translate` looks its destination up in one verdict map and goes to the Service's chain, which
marks it where the node's address must replace its source, chooses an endpoint's chain, and that translates the
destination. All later packets follow the connection's entry. Connections that no endpoint may serve are in no map of
`translate`, so the filter hooks see them with their first destination and refuse or drop them. Whatever else has the
address of a Service when it is forwarded is dropped: both the underlay and br-int would bring it back.
"""

from typing import Final

from agents.nft.model import (
    CLUSTER_IPS,
    EXTERNAL,
    HAIRPIN,
    NODE_PORTS,
    REFUSED,
    REFUSED_NODE_PORTS,
    SERVICES,
    TABLE,
)
from kubinet.state import NetworkConfig, Node

MARK: Final = "0x4000"
"""Bit of the packet mark: its source becomes the node's address. kube-proxy's default."""
MASQUERADE: Final = "masquerade-it"
"""Chain that sets the mark."""
REJECT: Final = "reject-it"
"""Chain that refuses."""


def base(node: Node, network: NetworkConfig) -> str:
    """The whole table without any Service."""
    own = node.underlay.ip
    return f"""\
table {TABLE} {{
  map {SERVICES} {{ type ipv4_addr . inet_proto . inet_service : verdict; }}
  map {NODE_PORTS} {{ type inet_proto . inet_service : verdict; }}
  map {REFUSED} {{ type ipv4_addr . inet_proto . inet_service : verdict; }}
  map {REFUSED_NODE_PORTS} {{ type inet_proto . inet_service : verdict; }}
  set {CLUSTER_IPS} {{ type ipv4_addr; }}
  set {EXTERNAL} {{ type ipv4_addr; }}
  set {HAIRPIN} {{ type ipv4_addr . ipv4_addr; }}

  chain {MASQUERADE} {{
    meta mark set meta mark or {MARK}
  }}
  chain {REJECT} {{
    meta l4proto tcp reject with tcp reset
    reject
  }}

  chain before {{
    type nat hook prerouting priority dstnat
    jump translate
  }}
  chain outgoing {{
    type nat hook output priority -100
    jump translate
  }}
  chain translate {{
    ip daddr . meta l4proto . th dport vmap @{SERVICES}
    ip daddr {own} meta l4proto . th dport vmap @{NODE_PORTS}
  }}
  chain after {{
    type nat hook postrouting priority srcnat
    meta mark & {MARK} != 0 meta mark set meta mark & 0xffffbfff masquerade fully-random
    ct status dnat ip saddr . ip daddr @{HAIRPIN} masquerade fully-random
  }}

  chain check {{
    ip daddr . meta l4proto . th dport vmap @{REFUSED}
    ip daddr {own} meta l4proto . th dport vmap @{REFUSED_NODE_PORTS}
    ip daddr @{CLUSTER_IPS} goto {REJECT}
    ip daddr {network.service_cidr} drop
  }}
  chain check-input {{
    type filter hook input priority -110
    ct state new jump check
  }}
  chain check-forward {{
    type filter hook forward priority -110
    ct state new jump check
    ip daddr {{ {network.service_cidr}, {network.load_balancer_cidr} }} drop
    ip daddr @{EXTERNAL} drop
  }}
  chain check-output {{
    type filter hook output priority -90
    ct state new jump check
  }}
}}
"""
