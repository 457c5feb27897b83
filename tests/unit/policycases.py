"""Upstream's cases of NetworkPolicy: Cyclonus' 230 and Kubernetes' Netpol list. `policyworld` says how to use them."""

from policycases_cluster import CLUSTER_CASES
from policycases_cyclonus import ACTIONS, CONFLICTS, CYCLONUS, NAMESPACES, RULES
from policycases_e2e import E2E
from policycases_netpol import NETPOL
from policyworld import Case

CASES: tuple[Case, ...] = (*CYCLONUS, *E2E, *NETPOL)

_SOME = {"end-port", "pathological", "ip-block-no-except", "ip-block-with-except"}
"""Tags of the cases of peers and ports that are worth their time."""
_DETAILS = [case for case in CYCLONUS if _SOME & (tags := set(case.upstream.split())) and "multi-peer" not in tags]
PACKET_CASES: tuple[Case, ...] = (*ACTIONS, *RULES, *NAMESPACES, *_DETAILS, *CONFLICTS, *E2E, *NETPOL)
"""Those with real packets; the flows of all are in `test_policy_cases_flows`."""

QUICK: tuple[str, ...] = (
    "named port while namespaces come and go",
    "a pod gets the label that a policy asks for and loses it",
    "ingress: the block of node 3 but z/c",
    "egress port: 53-80/TCP",
    "ingress port: 53-80/SCTP",
    "egress: deny all and allow every pod",
    "e2e: nothing is left of a deleted policy",
    "Netpol: ingress and egress together",
    "Netpol: SCTP: by pod and namespace selector",
    "CNPAdminTierEgressNamedPort by ClusterNetworkPolicy",
    "CNPAdminTierEgressNodePeers by AdminNetworkPolicy",
    "CNPBaselineTierIngressSCTP by ClusterNetworkPolicy",
    "CNPAdminTierPriorityField by ClusterNetworkPolicy",
    "CNPAdminTierIntegration by AdminNetworkPolicy",
)
"""A choice of those with packets and of the cluster-wide ones, where packets cost much: every feature and protocol."""
BATCHES = 2
"""A machine that is started anew for each loses less of them when it stalls."""


def batch(name: str) -> list[Case]:
    """Cases for one start of a slow machine: `quick`, or a number below BATCHES of all that have packets."""
    every = [*PACKET_CASES, *CLUSTER_CASES]
    return [case for case in every if case.name in QUICK] if name == "quick" else every[int(name) :: BATCHES]
