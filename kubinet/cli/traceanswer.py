"""Answers a question of `kubinet trace` from a running cluster."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from ipaddress import IPv4Address
from typing import TYPE_CHECKING

from controller.compile import Compiler
from controller.walk.hops import Journey
from controller.walk.packet import WalkError
from controller.walk.question import Question
from controller.walk.walker import Walker, reached
from controller.walk.words.names import Names
from controller.walk.words.story import Story, tell
from kubinet.cli.livetrace.experiment import Observation, observe
from kubinet.cli.traceplaces import Aim, other_endpoints
from kubinet.cli.tracing import ClusterTracer

if TYPE_CHECKING:
    from kubinet.cli.clusterview import View
    from kubinet.cluster import Cluster


@dataclass(frozen=True, slots=True)
class Answer:
    """What the flows do with the packet."""

    story: Story
    others: Mapping[str, Story]
    """By endpoint: where the Service may choose another one."""
    observation: Observation | None = None
    """What a real packet did."""

    @property
    def exit_status(self) -> int:
        """0: the packet and its answer are delivered, and a real one did as predicted."""
        agreed = self.observation is None or not self.observation.disagreements
        return int(not (self.story.delivered and agreed))


def answer(cluster: "Cluster", view: "View", question: Question, aim: Aim, *, live: bool) -> Answer:
    """Walk the packet's way, and the ways to the Service's other endpoints where none is asked for."""
    observation = None
    with ClusterTracer(cluster) as tracer:
        walker = Walker(view.state, tracer)
        first = walker.journey(question)
        journeys: dict[tuple[IPv4Address, int], Journey] = {reached(first.request): first}
        for other in other_endpoints(aim, reached(first.request)) if question.endpoint is None else ():
            with suppress(WalkError):  # an endpoint that this node does not choose: a traffic policy, a hint
                journeys[other] = walker.journey(replace(question, endpoint=other))
        if live:
            observation = observe(cluster, tracer, view, question, list(journeys.values()))
            first = observation.journey
    compiler = Compiler()
    compiler.compile(view.state)
    names = Names.of(view.state, {address: name for name, address in view.outside.items()})
    told = {end: tell(journey, names, compiler.meanings()) for end, journey in journeys.items()}
    story = told.pop(reached(first.request))
    return Answer(story, {names.endpoint(*end): other for end, other in told.items()}, observation)
