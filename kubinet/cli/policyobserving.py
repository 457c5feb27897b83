"""`kubinet policy test --live`: real packets for the questions of expectations, to Services' own addresses too."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kubinet.cli.policywitnesses import Ask, can_be_sent, insisting
from kubinet.reach.choices import Behind, service_of
from kubinet.reach.probes import Probe
from kubinet.reach.routes import Verdict
from kubinet.reach.testing import Check, Observation, Questions
from kubinet.reach.world import Place, World
from kubinet.state import Datapath, Service
from kubinet.transport import Protocol

if TYPE_CHECKING:
    from kubinet.cluster import Cluster
    from kubinet.reach.comparing import Statement

_LEAST, _MOST = 3, 12
"""Connections to a Service, so that every endpoint is likely chosen."""


@dataclass(frozen=True, slots=True)
class _Sent:
    check: Check
    ask: Ask


def observe(cluster: "Cluster", world: World, asked: Iterable[Questions], timeout: float) -> Mapping[str, Observation]:
    """What real packets found, by the words of the checks; checks that no packet can tell about are missing."""
    datapath = cluster.facts.network.datapath
    checks = {check.words: check for questions in asked for check in questions.checks}
    sent = [one for check in checks.values() for one in _sent(check, world, datapath)]
    told = insisting(
        cluster, [one.ask for one in sent], [one.check.expected is Verdict.ALLOWED for one in sent], timeout
    )
    found: dict[str, list[Statement]] = {}
    for one, statement in zip(sent, told, strict=True):
        found.setdefault(one.check.words, []).append(statement)
    return {words: _observation(statements) for words, statements in found.items()}


def _observation(statements: "list[Statement]") -> Observation:
    passed = {bool(statement.allowed) for statement in statements}
    verdict = Verdict.MIXED if len(passed) > 1 else Verdict.ALLOWED if True in passed else Verdict.DENIED
    words = next(one.words for one in statements if bool(one.allowed) is (verdict is Verdict.ALLOWED))
    count = sum(bool(one.allowed) for one in statements)
    return Observation(verdict, words if len(statements) == 1 else f"{count} of {len(statements)} passed; {words}")


def _sent(check: Check, world: World, datapath: Datapath) -> Iterator[_Sent]:
    if isinstance(check.destination, Behind):
        yield from _to_service(check, check.destination, world, datapath)
        return
    ask = Ask(check.source, check.destination, check.span.probe)
    if can_be_sent(ask, datapath):
        yield _Sent(check, ask)


def _to_service(check: Check, behind: Behind, world: World, datapath: Datapath) -> Iterator[_Sent]:
    service = service_of(behind, world)
    if service is None or check.span.protocol is not Protocol.TCP or not check.answer.routes:
        return  # a Service's UDP endpoint may be silent, and nobody says which one to look at
    fronts = list(_fronts(service, check, world))
    times = min(_MOST, max(_LEAST, 2 * len(check.answer.routes)))
    for number in range(times if fronts else 0):
        address, port = fronts[number % len(fronts)]
        ask = Ask(check.source, address, Probe(check.span.protocol, port))
        if can_be_sent(ask, datapath) or not (check.source.judged or check.source.node):
            yield _Sent(check, ask)


def _fronts(service: Service, check: Check, world: World) -> Iterator[tuple[Place, int]]:
    """Addresses and ports by which the source reaches the Service."""
    name = check.answer.destination
    if check.source.judged or check.source.node:
        yield Place(name, service.cluster_ip), check.span.first
        return
    if check.source.name not in {place.name for place in world.hosts()}:
        return
    for address in service.external:
        yield Place(name, address), check.span.first
    port = next(one for one in service.ports if (one.port, one.protocol) == (check.span.first, check.span.protocol))
    if port.node_port is not None:
        for node in world.nodes():
            yield Place(name, node.address), port.node_port
