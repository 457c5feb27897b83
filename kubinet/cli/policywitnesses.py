"""Asks the running cluster: the flows on its bridges, and real packets between its places."""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from controller.compile import Compiler
from controller.walk.packet import WalkError
from controller.walk.question import FromNode, FromPod, Question, Sender
from controller.walk.walker import Walker
from controller.walk.words.names import Names
from controller.walk.words.story import Account, tell
from kubinet.errors import KubinetError
from kubinet.reach.comparing import NOT_ASKED, Statement
from kubinet.reach.probes import Probe
from kubinet.reach.world import OUTSIDE_PREFIX, Place, World
from kubinet.sandbox import inside
from kubinet.state import Datapath
from kubinet.transport import Protocol

if TYPE_CHECKING:
    from controller.walk.tracer import Tracer
    from kubinet.cluster import Cluster

RETRIES = 2
"""How often silence is asked again, where it is unexpected."""


@dataclass(frozen=True, slots=True)
class Ask:
    """One question to a witness."""

    source: Place
    destination: Place
    probe: Probe


class FlowWitness:
    """Follows packets through the flows that are installed."""

    def __init__(self, world: World, tracer: "Tracer") -> None:
        self._walker = Walker(world.state, tracer)
        self._names = Names.of(world.state, {address: name for name, address in world.outside.items()})
        compiler = Compiler()
        compiler.compile(world.state)
        self._meanings = compiler.meanings()
        self._nodes = world.state.nodes

    def ask(self, question: Ask) -> Statement:
        """Whether request and answer are delivered, and where the packet died."""
        sender = self._sender(question.source)
        if sender is None:
            return NOT_ASKED
        asked = Question(sender, question.destination.address, question.probe.protocol, question.probe.port)
        try:
            journey = self._walker.journey(asked)
        except WalkError as error:
            return Statement(None, str(error))
        story = tell(journey, self._names, self._meanings)
        lost = story.reply is not None and not story.reply.walk.outcome.delivered
        told = story.reply if lost and story.reply is not None else story.request
        return Statement(journey.delivered, _ending(told))

    def _sender(self, place: Place) -> Sender | None:
        if place.pod is not None:
            return FromPod(place.pod)
        return FromNode(self._nodes[place.node]) if place.node else None


def _ending(account: Account) -> str:
    owner = account.verdict.owner
    return account.verdict.text + (f" ({owner})" if owner and owner not in account.verdict.text else "")


def can_be_sent(question: Ask, datapath: Datapath) -> bool:
    """Whether a real packet can go this way and tell something.

    Hosts outside have no route to pods' own addresses. Datapaths in userspace know SCTP connections by addresses
    alone: a probe one way would pass for the answer to an earlier one the other way.
    """
    if question.probe.protocol is Protocol.SCTP and datapath is not Datapath.SYSTEM:
        return False
    return question.source.judged or bool(question.source.node)


def send(cluster: "Cluster", questions: Sequence[Ask], timeout: float) -> list[Statement]:
    """Real packets; each has `timeout` seconds until it counts as denied."""
    if not questions:
        return []
    tasks = [_task(question) for question in questions]
    answer = _run(cluster, {"timeout": timeout, "tasks": tasks})
    return [_statement(result) for result in answer["results"]]


def insisting(
    cluster: "Cluster", questions: Sequence[Ask], expected: Sequence[bool], timeout: float
) -> list[Statement]:
    """As `send`; silence where an answer is expected is asked about again, as a busy machine loses packets."""
    told = send(cluster, questions, timeout)
    for _ in range(RETRIES):
        doubtful = [number for number, wanted in enumerate(expected) if wanted and not told[number].allowed]
        for number, statement in zip(
            doubtful, send(cluster, [questions[number] for number in doubtful], timeout), strict=True
        ):
            told[number] = statement
    return told


def _task(question: Ask) -> dict[str, Any]:
    destination = question.destination
    known = destination.judged or destination.node or destination.name.startswith(OUTSIDE_PREFIX)
    protocol = question.probe.protocol
    return {
        "source": question.source.name,
        "destination": destination.name if known else "",
        "address": str(destination.address),
        "protocol": protocol.name if protocol is not None else "",
        "port": question.probe.port,
    }


_WORDS: Mapping[str, str] = {
    "answered": "answered",
    "refused": "refused by the receiver: nothing listens there",
    "arrived": "arrived",
}


def _statement(result: Mapping[str, str]) -> Statement:
    passed = result["outcome"] in _WORDS
    return Statement(passed, _WORDS[result["outcome"]] if passed else result["words"])


def _run(cluster: "Cluster", request: Mapping[str, Any]) -> Any:
    argv = inside(cluster.info.pid, [sys.executable, "-m", "agents.reaching"])
    done = subprocess.run(argv, input=json.dumps(request), capture_output=True, text=True, check=False)
    if done.returncode:
        raise KubinetError(f"cluster '{cluster.name}': its probes ended early: {done.stderr.strip()[-400:]}")
    answer = json.loads(done.stdout)
    if "error" in answer:
        raise KubinetError(f"cluster '{cluster.name}': {answer['error']}")
    return answer
