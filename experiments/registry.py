"""Which experiments there are; nothing is imported until one is asked for."""

from collections.abc import Callable
from typing import Final

from experiments.base import Entry, Experiment
from kubinet.errors import UsageError


def _pod_latency() -> Experiment:
    from experiments.pod_latency.experiment import PodLatency  # noqa: PLC0415 - loaded when asked for

    return PodLatency()


def _service_load_balancing() -> Experiment:
    from experiments.service_load_balancing.experiment import (  # noqa: PLC0415 - loaded when asked for
        ServiceLoadBalancing,
    )

    return ServiceLoadBalancing()


def _entry(name: str, summary: str, load: Callable[[], Experiment]) -> tuple[str, Entry]:
    return name, Entry(name, summary, load)


_ENTRIES: Final = dict(
    [
        _entry(
            "pod_latency",
            "What the overlay costs: round-trip time and TCP throughput, pods against nodes",
            _pod_latency,
        ),
        _entry(
            "service_load_balancing",
            "What the load-balancing algorithms do: distribution, disruption, tail latency, connection rate",
            _service_load_balancing,
        ),
    ]
)


def list_experiments() -> tuple[Entry, ...]:
    """Every experiment, by name."""
    return tuple(_ENTRIES[name] for name in sorted(_ENTRIES))


def get_experiment(name: str) -> Experiment:
    """The experiment called `name`; hyphens and underscores are the same. UsageError naming those that exist."""
    entry = _ENTRIES.get(name.replace("-", "_"))
    if entry is None:
        raise UsageError(f"experiment '{name}' does not exist; there are: {', '.join(sorted(_ENTRIES))}")
    return entry.load()
