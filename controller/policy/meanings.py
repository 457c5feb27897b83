"""What the numbers that deciding flows leave in registers stand for."""

from collections.abc import Iterable
from dataclasses import dataclass

from kubinet.policies import Direction


@dataclass(frozen=True, slots=True)
class Meaning:
    """A rule that policies share, or a set of NetworkPolicies that isolate a pod together."""

    direction: Direction
    policies: tuple[str, ...]
    """Keys, sorted."""
    rules: tuple[tuple[str, int], ...] = ()
    """Policies' keys and the rule's index in each; none: isolation."""

    @property
    def rule(self) -> str:
        """`rule 2`, `isolation`; of several policies with different indexes all of them."""
        if not self.rules:
            return "isolation"
        return "rule " + "/".join(map(str, sorted({index for _, index in self.rules})))

    def __str__(self) -> str:
        if not self.rules:
            return f"isolated for {self.direction} by {', '.join(self.policies)}"
        return ", ".join(f"{key} {self.direction} rule {index}" for key, index in self.rules)


def rule_meaning(direction: Direction, users: Iterable[tuple[str, int]]) -> Meaning:
    """Of a rule that these policies have."""
    rules = tuple(sorted(users))
    return Meaning(direction, tuple(sorted({key for key, _ in rules})), rules)
