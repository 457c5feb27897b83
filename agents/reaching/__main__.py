"""`python -m agents.reaching`, inside the sandbox: probes as a JSON document on standard input, results on output."""

import json
import sys
from collections.abc import Mapping
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any, Final

from agents.reaching.places import spots
from agents.reaching.prober import Result, Task, probe
from kubinet.cri import RuntimeClient
from kubinet.errors import KubinetError
from kubinet.facts import facts_from_json
from kubinet.transport import Protocol

_RUN: Final = Path("/run/kubinet")


def answer(request: Mapping[str, Any]) -> dict[str, Any]:
    """`{"timeout": 2, "tasks": [{"source", "destination", "address", "protocol", "port"}]}` to the results."""
    tasks = [
        Task(
            source=entry["source"],
            destination=entry["destination"],
            address=IPv4Address(entry["address"]),
            protocol=Protocol[entry["protocol"]] if entry["protocol"] else None,
            port=entry["port"],
        )
        for entry in request["tasks"]
    ]
    known = spots(facts_from_json((_RUN / "facts.json").read_text()), RuntimeClient(_RUN / "runtime.sock"))
    return {"results": [_to_json(result) for result in probe(tasks, known, request["timeout"])]}


def _to_json(result: Result) -> dict[str, str]:
    return {"outcome": str(result.outcome), "words": result.words}


def main() -> None:
    """One request, one answer."""
    try:
        told = answer(json.load(sys.stdin))
    except KubinetError as error:
        told = {"error": str(error)}
    json.dump(told, sys.stdout)


if __name__ == "__main__":
    main()
