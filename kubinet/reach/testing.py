"""Expectations against a world: what is asked, what the oracle says, what others have observed, and the result."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from kubinet.policy import Oracle, Ruling
from kubinet.reach.choices import Behind, places
from kubinet.reach.expectations import Expectation, Named, PolicyTest
from kubinet.reach.routes import Answer, Verdict, ask, ask_service
from kubinet.reach.spans import Span
from kubinet.reach.world import Place, World


class Outcome(StrEnum):
    """How an expectation fares."""

    PASSED = "passed"
    FAILED = "failed"
    ERROR = "error"
    """It could not be asked: it names nobody."""


@dataclass(frozen=True, slots=True)
class Check:
    """One question of an expectation, with the oracle's answer."""

    source: Place
    destination: Place | Behind
    span: Span
    expected: Verdict
    answer: Answer
    """For the span's first port."""

    @property
    def words(self) -> str:
        """`shop/front > shop/web 80/TCP`."""
        return f"{self.source.name} > {self.answer.destination} {self.span}"


@dataclass(frozen=True, slots=True)
class Failure:
    """A question with another answer than the expected one."""

    check: Check
    why: str


@dataclass(frozen=True, slots=True)
class Result:
    """Of one expectation."""

    expectation: Expectation
    checks: int
    failures: tuple[Failure, ...] = ()
    trouble: str = ""

    @property
    def outcome(self) -> Outcome:
        """In one word."""
        return Outcome.ERROR if self.trouble else Outcome.FAILED if self.failures else Outcome.PASSED


@dataclass(frozen=True, slots=True)
class Questions:
    """All checks of an expectation, or why there are none."""

    expectation: Expectation
    checks: tuple[Check, ...] = ()
    trouble: str = ""


def questions(test: PolicyTest, world: World) -> list[Questions]:
    """What the test asks, in its order, with the oracle's answers."""
    oracle = Oracle(world.state)
    return [_questions(expectation, world, oracle) for expectation in test.expectations]


def _questions(expectation: Expectation, world: World, oracle: Oracle) -> Questions:
    try:
        return Questions(expectation, tuple(_checks(expectation, world, oracle)))
    except ValueError as error:
        return Questions(expectation, trouble=str(error))


def _checks(expectation: Expectation, world: World, oracle: Oracle) -> Iterator[Check]:
    sources = _found(expectation.sources, world)
    destinations = _found(expectation.destinations, world)
    services = [one.choice for one in expectation.destinations if isinstance(one.choice, Behind)]
    spans = [span for ports in expectation.ports for span in ports.asked([world.state])]
    asker = _Asker(world, oracle, spans)
    found = list(asker.between(sources, [*destinations.values(), *services], expectation.expect))
    if not found:
        raise ValueError("nothing is asked: source and destination are the same pod, or neither is a pod")
    yield from found
    others = {place.name: place for place in world.pods()}
    if expectation.only_sources:
        outsiders = {name: place for name, place in others.items() if name not in sources}
        yield from asker.between(outsiders, [*destinations.values(), *services], Verdict.DENIED)
    if expectation.only_destinations:
        rest = [place for name, place in others.items() if name not in destinations]
        yield from asker.between(sources, rest, Verdict.DENIED)


def _found(named: tuple[Named, ...], world: World) -> dict[str, Place]:
    found: dict[str, Place] = {}
    for one in named:
        here = places(one.choice, world)
        if not here and not isinstance(one.choice, Behind):
            raise ValueError(f"{one.words} names nobody")
        found |= {place.name: place for place in here}
    return found


@dataclass(frozen=True, slots=True)
class _Asker:
    world: World
    oracle: Oracle
    spans: list[Span]

    def between(
        self, sources: Mapping[str, Place], destinations: Sequence[Place | Behind], expected: Verdict
    ) -> Iterator[Check]:
        for source in sources.values():
            for destination in destinations:
                if isinstance(destination, Place) and not _asked(source, destination):
                    continue
                for span in self.spans:
                    yield Check(source, destination, span, expected, self._answer(source, destination, span))

    def _answer(self, source: Place, destination: Place | Behind, span: Span) -> Answer:
        if isinstance(destination, Behind):
            return ask_service(self.world, self.oracle, source, destination, span.probe)
        return ask(self.oracle, source, destination, span.probe)


def _asked(source: Place, destination: Place) -> bool:
    return source.name != destination.name and (source.judged or destination.judged)


@dataclass(frozen=True, slots=True)
class Observation:
    """What somebody else has found for a check: real probes."""

    verdict: Verdict
    words: str = ""


def result(asked: Questions, observed: Mapping[str, Observation] | None = None) -> Result:
    """Whether all is as expected, by the oracle and by whoever observed it (by the words of the checks)."""
    if asked.trouble:
        return Result(asked.expectation, 0, trouble=asked.trouble)
    seen = observed or {}
    failures = tuple(
        Failure(check, why) for check in asked.checks for why in _wrong(asked.expectation, check, seen.get(check.words))
    )
    return Result(asked.expectation, len(asked.checks), failures)


def _wrong(expectation: Expectation, check: Check, observed: Observation | None) -> Iterator[str]:
    answer = check.answer
    if answer.verdict is not check.expected:
        seen = ""
        if observed is not None:
            same = observed.verdict is answer.verdict
            seen = "; real packets are, too" if same else f"; but real packets are {observed.verdict}: {observed.words}"
        yield f"expected {check.expected}, is {answer.verdict}: {answer.reason}{seen}"
        return
    if expectation.policy and check.expected is expectation.expect and not _decided(expectation.policy, answer):
        yield f"is {answer.verdict} as expected, but {expectation.policy} does not decide it: {answer.reason}"
    if observed is not None and observed.verdict is not check.expected:
        yield f"expected {check.expected}, but real packets are {observed.verdict}: {observed.words}"


def _decided(policy: str, answer: Answer) -> bool:
    """Whether on every route the policy is one of those that decided."""
    return bool(answer.routes) and all(
        any(
            _names(policy, ruling)
            for ruling in (route.judgement.egress, route.judgement.ingress)
            if ruling.allowed is route.judgement.allowed
        )
        for route in answer.routes
    )


def _names(policy: str, ruling: Ruling) -> bool:
    keys = [ruling.policy] if ruling.policy else list(ruling.isolated_by)
    return any(policy in (key, key.partition("/")[2]) for key in keys)
