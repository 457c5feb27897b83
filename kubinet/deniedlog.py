"""The log of denied packets: how it is switched on, and what its lines say.

`kubinet policy log` puts a time into an annotation of `Topology/cluster` and renews it while it runs; until then the
controller writes a line of JSON for each denied connection and second to a file in the cluster's state folder. A
client that dies leaves nothing behind.
"""

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Final

UNTIL: Final = "kubinet.dev/log-denied-until"
"""Annotation of `Topology/cluster`: RFC 3339, UTC."""
LEASE_SECONDS: Final = 15.0
"""How far ahead a client puts it."""
FILE: Final = "denied.jsonl"
"""In the cluster's state folder."""
OLDER_FILE: Final = "denied.1.jsonl"
"""What was in `FILE` until it was full."""


def until_text(seconds: float) -> str:
    """A time (seconds since the epoch) as the annotation has it."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def until_of(topology: Mapping[str, Any]) -> float:
    """Until when denied packets are logged, seconds since the epoch; 0 where the annotation says nothing readable."""
    text = (topology["metadata"].get("annotations") or {}).get(UNTIL, "")
    try:
        return datetime.fromisoformat(text).timestamp()
    except (TypeError, ValueError):
        return 0.0


def lease() -> dict[str, Any]:
    """A merge patch of `Topology/cluster` that has packets logged from now on for `LEASE_SECONDS`."""
    return {"metadata": {"annotations": {UNTIL: until_text(time.time() + LEASE_SECONDS)}}}


@dataclass(frozen=True, slots=True)
class End:
    """One end of a denied packet."""

    address: str
    port: int = 0
    """0: the protocol has none, or the packet is a later fragment."""
    pod: str = ""
    """`namespace/name`."""
    node: str = ""
    """The node whose own stack it is."""

    def __str__(self) -> str:
        who = self.pod or (f"node/{self.node}" if self.node else self.address)
        return f"{who}:{self.port}" if self.port else who


@dataclass(frozen=True, slots=True)
class Entry:
    """One line: packets of a 5-tuple that a policy denied within a second."""

    time: str
    """Of the first of them; RFC 3339, UTC."""
    node: str
    """Where they were denied."""
    direction: str
    """`Ingress` or `Egress`, of the pod that the policy selects."""
    protocol: str
    """`TCP`, `UDP`, `SCTP`, `ICMP`, or the number."""
    source: End
    destination: End
    """Behind a Service's translation."""
    policies: tuple[str, ...]
    """Which denied it, by `Kind/namespace/name` or `Kind/name`; several where they isolate the pod together."""
    rule: str
    """`rule 2`, or `isolation`: no rule of NetworkPolicies allows it."""
    count: int = 1

    def to_line(self) -> str:
        """JSON with a line break."""
        return json.dumps(asdict(self)) + "\n"

    @classmethod
    def from_line(cls, line: str) -> "Entry":
        """The reverse; ValueError for a line that is none, such as one that is not complete yet."""
        try:
            known = json.loads(line)
            return cls(
                **{
                    **known,
                    "source": End(**known["source"]),
                    "destination": End(**known["destination"]),
                    "policies": tuple(known["policies"]),
                }
            )
        except (KeyError, TypeError) as error:
            raise ValueError(f"no entry of the log of denied packets: {line[:200]!r}") from error
