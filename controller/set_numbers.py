"""Ids of sets of endpoints: one for each name, as long as the Service that has it is there."""

from collections.abc import Container
from dataclasses import dataclass, field

from controller.features.balancing import MAX_SET_ID


@dataclass(slots=True)
class SetNumbers:
    """The ids that are taken. A set's name is its Service's key, `|`, and what tells it from the Service's others."""

    _numbers: dict[str, int] = field(default_factory=dict)
    _names: dict[int, str] = field(default_factory=dict)
    _owned: dict[str, list[int]] = field(default_factory=dict)
    """Ids by the Service whose sets have them."""

    def number(self, name: str, wanted: int) -> int:
        """The id of a set: its hash, `wanted`, or the next free number where two names share one."""
        known = self._numbers.get(name)
        if known is not None:
            return known
        while wanted in self._names:
            wanted = wanted % MAX_SET_ID + 1
        self._numbers[name], self._names[wanted] = wanted, name
        self._owned.setdefault(name.partition("|")[0], []).append(wanted)
        return wanted

    def service(self, number: int) -> str:
        """The Service whose set has the id; empty for none."""
        return self._names.get(number, "").partition("|")[0]

    def forget(self, service: str) -> tuple[int, ...]:
        """Free the ids of a Service's sets; returns them."""
        freed = tuple(self._owned.pop(service, ()))
        for number in freed:
            del self._numbers[self._names.pop(number)]
        return freed

    @property
    def taken(self) -> Container[int]:
        """The ids of all sets that the present Services have, or had since they are there."""
        return self._names.keys()
