"""OpenFlow priorities of policies' rules.

NetworkPolicy's rules only allow, so they share one priority. A cluster-wide rule has one of its own, because
conjunctions of equal priority must not contradict each other (ovs-fields(7), Conjunctive Match Fields).
"""

from collections.abc import Iterable, Mapping
from typing import Final

from kubinet.policies import Direction, Policy, Tier

HIGHEST: Final = 65_000
LOWEST: Final = 1_000
LARGEST: Final = 1000
"""Greatest priority value of a cluster-wide policy."""
_SLOTS: Final = (HIGHEST - LOWEST) // (LARGEST + 1)
"""Rules of one priority value that have a place of their own, so that other policies leave it alone."""


def first_priorities(policies: Iterable[Policy], tier: Tier, direction: Direction) -> Mapping[str, int]:
    """The OpenFlow priority of each policy's first rule, by key; its next rules have the next lower ones.

    A function of the policies alone: as long as no priority value has more rules than its slots, a policy's place
    depends on those of its own value only. A policy that finds no place (63,000 rules) is not in the result.
    """
    present = sorted(
        (policy for policy in policies if policy.tier is tier and policy.rules(direction)),
        key=lambda policy: (policy.priority, policy.kind, policy.name),
    )
    used: dict[int, int] = {}
    places: dict[str, int] = {}
    for policy in present:
        offset = used.get(policy.priority, 0)
        used[policy.priority] = offset + len(policy.rules(direction))
        places[policy.key] = HIGHEST - policy.priority * _SLOTS - offset
    if all(count <= _SLOTS for count in used.values()):
        return places
    places, free = {}, HIGHEST
    for policy in present:
        needed = len(policy.rules(direction))
        if free - needed < LOWEST:
            break
        places[policy.key] = free
        free -= needed
    return places
