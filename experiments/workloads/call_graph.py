"""Workload `call-graph`: a request whose service calls others, which call others; latency from end to end."""

from collections.abc import Mapping, Sequence
from typing import Final

from experiments.base import Holds, Parameter
from experiments.design.model import Settings
from experiments.offered import OfferedLoad
from experiments.programs.running import Server, listening
from experiments.scene import Scene
from experiments.workloads.common import (
    FROM,
    Plugin,
    check_places,
    end,
    is_place,
    names,
    number,
    one_of,
    place,
    text,
    whole,
)
from experiments.workloads.request_response import ASKING, ask, offered_requests
from kubinet.errors import InvalidInputError

_PARALLEL, _SEQUENCE = "parallel", "sequence"


def parse_calls(words: str) -> dict[str, tuple[str, ...]]:
    """`A -> B, C; B -> D` as caller to callees; InvalidInputError for what cannot be read, and for a circle."""
    calls: dict[str, tuple[str, ...]] = {}
    for part in filter(None, (part.strip() for part in words.replace("\n", ";").split(";"))):
        caller, arrow, callees = part.partition("->")
        found = tuple(callees.replace(",", " ").split())
        if not arrow or not caller.strip() or not found:
            raise InvalidInputError(f"parameter 'calls': {part!r} is not CALLER -> CALLEE, …")
        if not is_place(caller.strip()):
            raise InvalidInputError(f"parameter 'calls': the caller '{caller.strip()}' is no place (pod/NAME …)")
        calls[caller.strip()] = calls.get(caller.strip(), ()) + found
    for caller in calls:
        _refuse_circle(caller, calls, ())
    return calls


def calls_of(root: str, calls: Mapping[str, Sequence[str]]) -> int:
    """How many calls one request to `root` becomes, itself included; at most, where services are called.

    Who answers for a service is not written, so every caller is then counted once.
    """
    called = [name for callees in calls.values() for name in callees]
    if not all(map(is_place, (root, *called))):
        return 1 + len(called)
    return 1 + sum(calls_of(name, calls) for name in calls.get(root, ()))


def _refuse_circle(name: str, calls: dict[str, tuple[str, ...]], way: tuple[str, ...]) -> None:
    if name in way:
        raise InvalidInputError(f"parameter 'calls': {' -> '.join((*way, name))} is a circle: no request would end")
    for callee in calls.get(name, ()):
        _refuse_circle(callee, calls, (*way, name))


class CallGraph(Plugin):
    """The workload."""

    summary = "Requests to a service that calls others in a declared tree over TCP: latency from end to end."
    parameters = (
        FROM,
        Parameter(
            "to", "", "", "the tree's root: a place, or a service whose places are in `servers`", holds=Holds.PLACES
        ),
        Parameter(
            "calls",
            "",
            "",
            "who calls whom: `pod/front -> pod/cart, service/search; pod/cart -> pod/db`",
            holds=Holds.PLACES_IN_WORDS,
        ),
        Parameter(
            "servers", "", "", "more places that serve: those behind services that are called", holds=Holds.PLACES
        ),
        Parameter(
            "order", _SEQUENCE, _SEQUENCE, f"`{_SEQUENCE}`: callees one after the other; `{_PARALLEL}`: all at once"
        ),
        Parameter("work_ms", 0.0, 0.0, "time that each service needs itself, ms (waiting, no CPU)", 0, 60_000),
        Parameter("port", 7500, 7500, "port of the servers, and of services that name none", 1, 65535),
        *ASKING,
    )
    required = ("from", "to", "calls")
    metrics: Final = {"latency": "ms", "requests per second": "1/s", "failed": "requests"}

    def check(self, settings: Settings) -> None:
        """Places, a tree, and servers for every service."""
        check_places(settings, "from", "servers")
        one_of(settings, "order", (_SEQUENCE, _PARALLEL))
        calls = parse_calls(text(settings, "calls"))
        called = {text(settings, "to"), *(callee for callees in calls.values() for callee in callees)}
        services = sorted(name for name in called if not is_place(name))
        if services and not names(settings, "servers"):
            raise InvalidInputError(f"parameter 'servers': name the places that serve {', '.join(services)}")

    def duration_s(self, settings: Settings) -> float:
        """As set."""
        return number(settings, "seconds")

    def offered(self, settings: Settings) -> OfferedLoad:
        """As `request-response`, for every call of the tree; of a tree with services all calls that are written."""
        return offered_requests(settings, "tcp", calls_of(text(settings, "to"), parse_calls(text(settings, "calls"))))

    def run(self, scene: Scene, settings: Settings) -> None:
        """A server at every place of the tree, then the client."""
        calls, port = parse_calls(text(settings, "calls")), whole(settings, "port")
        everything = (text(settings, "to"), *calls, *(name for found in calls.values() for name in found))
        places = dict.fromkeys(name for name in (*everything, *names(settings, "servers")) if is_place(name))

        def service(name: str) -> Server:
            callees = [end(scene, callee, port) for callee in calls.get(name, ())]
            given = {
                "port": port,
                "callees": [[str(one.address), one.port] for one in callees],
                "work": number(settings, "work_ms") / 1e3,
                "parallel": text(settings, "order") == _PARALLEL,
                "request": whole(settings, "request"),
                "response": whole(settings, "response"),
                "timeout": number(settings, "timeout_s"),
            }
            return Server(place(scene, name), name, "call_server", given)

        with listening(map(service, places)):
            ask(scene, settings, end(scene, text(settings, "to"), port), "tcp")


CALL_GRAPH: Final = CallGraph()
