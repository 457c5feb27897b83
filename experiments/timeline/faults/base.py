"""What a fault is."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar, Generic, TypeAlias, TypeVar

from experiments.timeline.actions import Injection
from experiments.timeline.site import Check, Site

Memory: TypeAlias = Mapping[str, Any]
"""What healing has to know, as JSON: another process may do it."""
Kind = TypeVar("Kind", bound=Injection)


class Stay(StrEnum):
    """How long a fault is there."""

    UNTIL_HEALED = "until healed"
    PASSES = "passes by itself"
    """The cluster recovers on its own; that it does is checked."""
    STEP = "a step"
    """A change that stays, unless the line has an end: then it is undone."""


@dataclass(frozen=True, slots=True)
class Case(Generic[Kind]):
    """One injection of a fault."""

    site: Site
    action: Kind
    memory: Memory = field(default_factory=dict)
    """What `inject` and the last `turn` returned."""


class Fault(ABC, Generic[Kind]):
    """One kind of fault, without state: what it remembers is its memory."""

    example: ClassVar[str]
    does: ClassVar[str]
    presence: ClassVar[str]
    """In words: how it is known that it is there."""
    effect: ClassVar[str]
    """In words: the symptom that is looked for."""
    recovery: ClassVar[str]
    """In words: what ends it, and when it counts as healed."""
    stay: ClassVar[Stay] = Stay.UNTIL_HEALED
    presence_seconds: ClassVar[float] = 5.0
    effect_seconds: ClassVar[float] = 10.0
    recovery_seconds: ClassVar[float] = 60.0
    """How long each check is waited for."""

    @abstractmethod
    def check(self, case: Case[Kind]) -> None:
        """Refuse what this cluster has not (UsageError)."""

    @abstractmethod
    def inject(self, case: Case[Kind]) -> Memory:
        """Do it, and return; nothing is waited for."""

    @abstractmethod
    def present(self, case: Case[Kind]) -> Check:
        """One look: is it there?"""

    @abstractmethod
    def symptom(self, case: Case[Kind]) -> Check:
        """One look: does the cluster suffer as it should?"""

    @abstractmethod
    def heal(self, case: Case[Kind]) -> None:
        """Undo it. May be called when it is gone already, and after an injection that failed half-way."""

    @abstractmethod
    def healed(self, case: Case[Kind]) -> Check:
        """One look: is everything as before?"""


class RecurringFault(Fault[Kind]):
    """A fault that changes something again and again until it is healed."""

    @abstractmethod
    def turn(self, case: Case[Kind]) -> Memory:
        """The next change, one each `action.every` seconds."""
