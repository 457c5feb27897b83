"""The SDN controller as a process of its own, for tests: reads cluster states from standard input, one JSON a line.

Writes a JSON line for every change of what is realised, and for every denied packet that it is told of. Runs on
os-ken or Ryu (KUBINET_FRAMEWORK).
"""

import json
import logging
import socket
import sys
import threading
from dataclasses import replace
from typing import Any

from controller import framework
from kubinet.state import ClusterState


def main() -> None:
    """Read states until standard input ends."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    name = framework.choose(None)
    # Only now: Ryu's eventlet replaces what these modules import.
    from controller.policylog import denial  # noqa: PLC0415
    from controller.sdn_controller import Controller  # noqa: PLC0415
    from kubinet.kubernetes import cluster_state  # noqa: PLC0415
    from kubinet.policyobjects import policy_from_object  # noqa: PLC0415
    from kubinet.serviceobjects import ServiceCache  # noqa: PLC0415

    news = threading.Event()

    def tell_denied(node: str, packet: Any) -> None:
        found = denial(node, packet)
        if found is not None:
            ends = [f"{found.source}:{found.source_port}", f"{found.destination}:{found.destination_port}"]
            told = {"node": node, "ends": ends, "direction": found.direction, "by": meanings[found.number]}
            print(json.dumps({"denied": told}), flush=True)

    controller = Controller(news.set, on_denied=tell_denied, audit_seconds=float(sys.argv[1]))
    meanings: dict[int, str] = {}
    port = framework.start(name, controller, address="127.0.0.1", port=0)
    print(json.dumps({"port": port}), flush=True)

    def report() -> None:
        while True:
            news.wait()
            news.clear()
            facts = {
                node: {"generation": one.generation, "flows": dict(one.flows), "error": one.last_error}
                for node, one in controller.realised().items()
            }
            print(json.dumps(facts), flush=True)

    cache = ServiceCache()

    def state_of(said: Any) -> ClusterState:
        state = cluster_state(said["topology"], said["nodes"], said["pods"], said["generation"])
        by_key = [
            {f"{one['metadata']['namespace']}/{one['metadata']['name']}": one for one in said.get(kind, ())}
            for kind in ("services", "slices")
        ]
        policies = [policy_from_object(one) for one in said.get("policies", ())]
        return replace(
            state,
            services=cache.services(*by_key, state.network.load_balancer),
            policies={one.key: one for one in policies},
            log_denied=said.get("log", False),
        )

    threading.Thread(target=report, daemon=True).start()
    # A socket, because eventlet cannot wait for a pipe without stopping everything else.
    for line in socket.socket(fileno=0).makefile():
        controller.update(state_of(json.loads(line)))
        meanings.update((number, str(meaning)) for number, meaning in controller.deciders().items())


if __name__ == "__main__":
    main()
