"""Policies on Open vSwitch's kernel datapath: the same flows, judged in the kernel."""

from collections.abc import Callable
from typing import Any

import pytest

from topologies.guest import Kernel

SERVERS = ("far", "near")


@pytest.fixture(scope="module")
def found(run_scenario: Callable[..., dict[str, Any]]) -> dict[str, Any]:
    return run_scenario(Kernel.QEMU, "policies.py", timeout=1200)


def test_kernel_lets_everything_through_without_policies(found: dict[str, Any]) -> None:
    """TCP, UDP and SCTP between pods of one node and of two; the same after the last policy is gone."""
    assert found["before"] == found["everything"]
    assert found["after"] == found["everything"]


def test_kernel_admits_what_an_ingress_rule_names(found: dict[str, Any]) -> None:
    """A peer by its label, a port by its name, an SCTP port by its number; nothing else, on either node."""
    expected = [f"friend {server} {port}" for server in SERVERS for port in ("80/TCP", "90/SCTP")]
    assert sorted(found["ingress"]) == sorted(expected)


def test_kernel_lets_out_what_an_egress_rule_names(found: dict[str, Any]) -> None:
    """The selected pod reaches 80/UDP only, another pod reaches everything."""
    stranger = [text for text in found["everything"] if text.startswith("stranger")]
    assert sorted(found["egress"]) == sorted([*stranger, "friend far 80/UDP", "friend near 80/UDP"])


def test_kernel_denies_for_the_whole_cluster(found: dict[str, Any]) -> None:
    """An Admin rule that denies closes the servers, whatever NetworkPolicies allow."""
    assert found["deny"] == []


def test_kernel_cuts_established_connections(found: dict[str, Any]) -> None:
    """A connection that a new policy forbids is silent from then on, and goes on when the policy is gone."""
    assert (found["held before"], found["held under a policy"], found["held after"]) == ("echo", "silence", "echo")
