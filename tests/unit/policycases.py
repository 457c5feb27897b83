"""Upstream's cases of NetworkPolicy: Cyclonus' 230 and Kubernetes' Netpol list. `policyworld` says how to use them."""

from policycases_cyclonus import CYCLONUS
from policycases_e2e import E2E
from policycases_netpol import NETPOL
from policyworld import Case

CASES: tuple[Case, ...] = (*CYCLONUS, *E2E, *NETPOL)
