"""The benchmark's references run in namespaces of their own and leave nothing."""

import subprocess

import pytest

from experiments.bench.ovn_reference import missing_programs
from experiments.throwaway import run_inside

pytestmark = pytest.mark.emulated


def links() -> str:
    return subprocess.run(["ip", "-br", "link"], capture_output=True, text=True, check=True).stdout


def test_netlink_rates_are_measured_without_a_trace() -> None:
    """Namespaces and veth pairs are counted, and this namespace has the same interfaces as before."""
    before = links()
    rates = run_inside("experiments.bench.netlink_rates", "20", timeout_s=60)
    assert rates.keys() == {"namespaces_per_s", "veth_pairs_per_s"}
    assert all(rate > 10 for rate in rates.values())
    assert links() == before


def test_ovn_reference_reaches_every_pod() -> None:
    """2 nodes with 2 pods each answer across nodes; times are in order and memory is that of real switches."""
    if missing := missing_programs():
        pytest.skip(f"not installed: {', '.join(missing)} (Debian: ovn-central, ovn-host)")
    before = links()
    run = run_inside("experiments.bench.ovn_reference", "2", "2", timeout_s=120)
    assert (run["nodes"], run["pods"]) == (2, 4)
    assert 0 < run["links_s"] < run["switches_s"] < run["pods_answer_s"]
    assert 10 < run["per_node"]["pss_mib"] < 200
    assert 5 < run["central"]["pss_mib"] < 200
    assert links() == before
