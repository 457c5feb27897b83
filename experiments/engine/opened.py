"""A cluster of Dask that runs: who is there, who has gone, and whether somebody is still to come."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from experiments.engine.departures import Departures

NO_PAGES: Final = {"dashboard": False, "dashboard_address": "127.0.0.1:0"}
"""What schedulers are told: Dask's pages about its state are open to everyone."""
_LAST_WORDS_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class Opened:
    """A running cluster."""

    cluster: Any
    security: Any
    gone: Departures = field(default_factory=Departures)
    """Workers that could not start or have died, and why."""
    explain: int = 0
    """How many workers say why they are gone: the scheduler may miss one before its last words are here."""
    wait: Callable[[], None] = lambda: None
    """Returns when a run can begin; KubinetError when none ever will."""
    restarts: bool = False
    """Whether a worker that dies comes back."""
    expects: Callable[[], bool] = lambda: False
    """Whether a worker may still come that has not been there."""

    def living(self) -> int:
        """How many workers there are."""
        return len(self.cluster.scheduler.workers)

    def why_none(self) -> str | None:
        """Why no worker is left; None while there is one, or one is to come."""
        if self.restarts or self.living() or self.expects():
            return None
        self.gone.wait_for(self.explain, _LAST_WORDS_SECONDS)
        return "; ".join(self.gone.values()) or "every worker has ended"
