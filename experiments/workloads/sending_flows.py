"""Carries out planned flows: a server at each receiver, a client at each sender, all beginning at one moment."""

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Final

from experiments.programs.running import START_SECONDS, Server, listening, program
from experiments.scene import Scene
from experiments.workloads.common import place
from experiments.workloads.flow_plan import PlannedFlow

_LEAD_SECONDS: Final = 0.1
"""Between telling the clients when to begin, and that moment."""
_MORE_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class FinishedFlow:
    """What became of a flow."""

    flow: PlannedFlow
    started_s: float
    """Seconds since 1970."""
    fct_ms: float
    """From its start (its connection's, unless that was there before) to its last byte's arrival."""
    failure: str
    """Empty when it is complete."""


def send(
    scene: Scene,
    flows: Sequence[PlannedFlow],
    *,
    port: int,
    timeout_s: float,
    prepared: bool,
    seconds: float,
    congestion: str = "",
) -> list[FinishedFlow]:
    """All flows, to their end, in the order of their numbers; `prepared`: connections are open before the beginning.

    `congestion`: TCP's congestion control; empty: the machine's.
    """
    by_number = {flow.number: flow for flow in flows}
    with ExitStack() as stack:
        targets = _each(flow.target for flow in flows)
        stack.enter_context(
            listening(Server(place(scene, name), name, "answer_server", {"port": port}) for name in targets)
        )
        addresses = {name: str(scene.address(name)[0]) for name in targets}
        clients = []
        for name in _each(flow.source for flow in flows):
            own = [
                [one.number, one.due_s, addresses[one.target], port, one.size] for one in flows if one.source == name
            ]
            given = {"flows": own, "timeout": timeout_s, "prepared": prepared, "congestion": congestion}
            clients.append(stack.enter_context(program(place(scene, name), name, "flow_client", given)))
        now = max(float(client.hear(START_SECONDS + timeout_s)["now"]) for client in clients)
        for client in clients:
            client.say({"begin": now + _LEAD_SECONDS})
        found = []
        for client in clients:
            said = client.hear(seconds + timeout_s + _MORE_SECONDS)
            for number, began, took, failure in said["flows"]:
                found.append(FinishedFlow(by_number[number], float(said["started"]) + began, took, failure))
    return sorted(found, key=lambda one: one.flow.number)


def _each(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))
