"""Upstream's cases of policies on Open vSwitch's kernel datapath: all pairs of their pods, on TCP, UDP and SCTP.

The cases and their tables are those of `emulated/test_policy_upstream` and `test_policy_upstream_cluster`. A choice of
them runs always, all of them with `make test-guest-policies`: an emulated processor takes long for each.
"""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from policycases import BATCHES, PACKET_CASES, QUICK, batch
from policycases_cluster import CLUSTER_CASES
from policyworld import Case

from topologies.guest import Kernel

Finder = Callable[[str], Mapping[str, Any]]
WHOLE = [str(number) for number in range(BATCHES)]
HOUR = 3600


@pytest.fixture(scope="module")
def found(run_scenario: Callable[..., dict[str, Any]]) -> Finder:
    """What each case of a batch found, by its name; a batch that did not end fails all its tests at once."""
    outcomes: dict[str, Mapping[str, Any] | Exception] = {}

    def find(name: str) -> Mapping[str, Any]:
        if name not in outcomes:
            try:
                document = run_scenario(Kernel.QEMU, "policy_cases.py", name, timeout=HOUR)
                outcomes[name] = {one["case"]: one for one in document["cases"]}
            except Exception as error:
                outcomes[name] = error
        outcome = outcomes[name]
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    return find


def test_the_choice_is_of_known_cases() -> None:
    """Each of its names is a case's, and every case is in exactly one batch of the whole list."""
    assert [case.name for case in batch("quick")] == list(QUICK)
    every = sorted(case.name for case in (*PACKET_CASES, *CLUSTER_CASES))
    assert sorted(case.name for number in WHOLE for case in batch(number)) == every


def test_all_chosen_cases_were_run(found: Finder) -> None:
    assert list(found("quick")) == list(QUICK)


@pytest.mark.parametrize("name", QUICK)
def test_upstream_case_in_the_kernel(found: Finder, name: str) -> None:
    """After each step every pair has the connections that the table says, and no others."""
    assert found("quick")[name]["differences"] == []


@pytest.mark.long
@pytest.mark.parametrize("number", WHOLE)
def test_all_cases_of_a_batch_were_run(found: Finder, number: str) -> None:
    assert list(found(number)) == [case.name for case in batch(number)]


@pytest.mark.long
@pytest.mark.parametrize(
    ("number", "case"),
    [pytest.param(number, case, id=case.name) for number in WHOLE for case in batch(number)],
)
def test_every_upstream_case_in_the_kernel(found: Finder, number: str, case: Case) -> None:
    """The same of the whole list."""
    assert found(number)[case.name]["differences"] == []
