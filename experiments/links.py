"""Links as measured against what the topology declares, where the cluster measures them."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, is_dataclass
from typing import Any, Final

from experiments.base import RunningCluster
from experiments.records import LinkCheck
from kubinet.errors import KubinetError

RATE_TOLERANCE: Final = 0.05
"""Share of the declared rate."""

DELAY_TOLERANCE_MS: Final = 1.0
DELAY_TOLERANCE: Final = 0.05
"""A delay may be off by `DELAY_TOLERANCE_MS` and this share of the declared delay."""


def link_checks(cluster: RunningCluster) -> tuple[LinkCheck, ...] | None:
    """Measure every link; None when this cluster cannot.

    A link has the fields `name`, `declared_rate_mbit`, `measured_rate_mbit`, `declared_delay_ms`, `measured_delay_ms`.
    """
    measure = getattr(cluster, "measure_links", None)
    if measure is None:
        return None
    return tuple(check for link in measure() for check in _checks(_fields(link)))


def rate_is_close(declared_mbit: float, measured_mbit: float) -> bool:
    """Whether a measured rate is what was declared, within 5 %."""
    return abs(measured_mbit - declared_mbit) <= RATE_TOLERANCE * declared_mbit


def delay_is_close(declared_ms: float, measured_ms: float) -> bool:
    """Whether a measured delay is what was declared, within 1 ms and 5 %."""
    return abs(measured_ms - declared_ms) <= DELAY_TOLERANCE_MS + DELAY_TOLERANCE * declared_ms


def _fields(link: object) -> Mapping[str, Any]:
    if is_dataclass(link) and not isinstance(link, type):
        return asdict(link)
    if isinstance(link, Mapping):
        return link
    raise KubinetError(f"cluster: measure_links() gave {type(link).__name__}, not a dataclass or mapping")


def _checks(link: Mapping[str, Any]) -> Iterator[LinkCheck]:
    for quantity, (unit, is_close) in _QUANTITIES.items():
        declared, measured = link.get(f"declared_{quantity}_{unit}"), link.get(f"measured_{quantity}_{unit}")
        if declared is None and measured is None:
            continue
        # A rate that is not declared is not limited: whatever was measured is right.
        close = declared is None or (measured is not None and is_close(declared, measured))
        yield LinkCheck(str(link["name"]), quantity, declared, measured, _UNIT_NAMES[unit], close)


_QUANTITIES: Final = {"rate": ("mbit", rate_is_close), "delay": ("ms", delay_is_close)}
_UNIT_NAMES: Final = {"mbit": "Mbit/s", "ms": "ms"}
