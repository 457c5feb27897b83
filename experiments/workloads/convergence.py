"""Workloads `policy-enforcement` and `endpoint-removal`: a stream of probes, a change in it, when it took hold."""

import time
from collections.abc import Callable, Collection, Iterator
from typing import Final

from experiments.base import Holds, Parameter
from experiments.design.model import Settings
from experiments.offered import OfferedLoad
from experiments.scene import Reading, Scene
from experiments.workloads.common import (
    FROM,
    SERVERS,
    TO,
    Pair,
    Plugin,
    check_places,
    manifest,
    names,
    number,
    servers,
    switch,
    text,
)
from experiments.workloads.probe_stream import (
    INTERVAL,
    NEW_FLOWS,
    PAYLOAD,
    PORT,
    check_stream,
    offered_stream,
    streaming,
)
from experiments.workloads.streams import Stream
from kubinet.errors import InvalidInputError, KubinetError

_STREAM: Final = (
    FROM,
    TO,
    SERVERS,
    PORT,
    Parameter("after_s", 0.5, 0.3, "seconds of undisturbed stream before the change", 0.01, 600),
    Parameter("at_s", 0.0, 0.0, "not before so many seconds after the workload's start, as a timeline counts", 0, 3600),
    Parameter("seconds", 3.0, 1.0, "seconds of stream after the change", 0.05, 3600),
    INTERVAL,
    PAYLOAD,
    NEW_FLOWS,
)


def change_during(
    scene: Scene, settings: Settings, change: Callable[[], object], mortal: Collection[str] = ()
) -> tuple[Stream, float, float]:
    """The stream, and when the change was begun and when it had been accepted (seconds since 1970)."""

    def before() -> float:
        """Seconds from now to the change: programs need some time to start, a timeline does not wait for them."""
        return max(number(settings, "after_s"), scene.started_s + number(settings, "at_s") - time.time())

    with streaming(scene, settings, before() + number(settings, "seconds"), mortal) as sending:
        time.sleep(before())  # the undisturbed part: time itself is what is waited for
        began = time.time()
        change()
        accepted = time.time()
        found = sending.finish()
    if not any(one.sent_s < began for one in found.arrivals):
        raise KubinetError(
            f"{text(settings, 'from')}: nothing came to {text(settings, 'to')} before the change; "
            "the stream has to work first, look with `kubinet trace` where it is lost"
        )
    return found, began, accepted


class PolicyEnforcement(Plugin):
    """How long a new policy takes to bite."""

    summary = "Applies policies that forbid a running stream: time to the first drop and to the last leaked datagram."
    parameters = (
        *_STREAM,
        Parameter("policy", "", "", "the policies as YAML text; they have to forbid the stream", holds=Holds.MANIFESTS),
        Parameter("delete", True, True, "true: the policies are deleted at the end"),
    )
    required = ("from", "to", "policy")
    metrics: Final = {"accepted": "ms", "first drop": "ms", "last leaked": "ms", "leaked": "packets"}

    def check(self, settings: Settings) -> None:
        """Places; the receivers are ours."""
        check_stream(settings)

    def duration_s(self, settings: Settings) -> float:
        """Both parts of the stream."""
        return max(number(settings, "after_s"), number(settings, "at_s")) + number(settings, "seconds")

    def offered(self, settings: Settings) -> OfferedLoad:
        """A datagram every `interval_ms`."""
        return offered_stream(settings)

    def run(self, scene: Scene, settings: Settings) -> None:
        """Stream, apply, and look which datagrams came."""
        policy, pair = manifest(settings, "policy"), Pair(text(settings, "from"), text(settings, "to"))
        try:
            found, began, accepted = change_during(scene, settings, lambda: scene.cluster.apply(policy))
        finally:
            if switch(settings, "delete"):
                scene.cluster.delete(policy)
        scene.record(list(enforcement(found, pair, began, accepted)))


def enforcement(found: Stream, pair: Pair, began: float, accepted: float) -> Iterator[Reading]:
    """Times in ms after the change began, by datagrams' sending; KubinetError when the last one was not dropped."""
    lost = [number for number in found.lost if found.sent_s[number] >= began]
    arrived = [one for one in found.arrivals if one.sent_s >= began]
    last = len(found.sent_s) - 1
    if last not in lost:
        raise KubinetError(
            f"{pair.source} to {pair.target}: datagrams still came at the end, so the policy does not forbid them; "
            "ask `kubinet policy explain`, or give 'seconds' more"
        )
    first_drop = found.sent_s[lost[0]]
    yield pair.reading("accepted", (accepted - began) * 1e3, "ms", accepted)
    yield pair.reading("first drop", (first_drop - began) * 1e3, "ms", first_drop)
    leaked_at = max((one.sent_s for one in arrived), default=began)
    yield pair.reading("last leaked", (leaked_at - began) * 1e3, "ms", leaked_at)
    yield pair.reading("leaked", sum(one.sent_s > first_drop for one in arrived), "packets", first_drop)


class EndpointRemoval(Plugin):
    """How long a Service still sends to an endpoint that goes."""

    summary = "Deletes a pod behind a Service during a stream: the last datagram that reaches it, and what is lost."
    parameters = (
        *_STREAM,
        Parameter("endpoint", "", "", "the pod that is deleted, one of `servers`: `pod/NAME`", holds=Holds.PLACES),
    )
    required = ("from", "to", "servers", "endpoint")
    metrics: Final = {"accepted": "ms", "last to endpoint": "ms", "to endpoint after": "packets", "lost": "packets"}

    def check(self, settings: Settings) -> None:
        """The pod is one of the servers."""
        check_stream(settings)
        check_places(settings, "endpoint")
        endpoint = text(settings, "endpoint")
        if endpoint not in names(settings, "servers") or not endpoint.startswith("pod/"):
            raise InvalidInputError(f"parameter 'endpoint': '{endpoint}' is no pod among 'servers'")

    def duration_s(self, settings: Settings) -> float:
        """Both parts of the stream."""
        return max(number(settings, "after_s"), number(settings, "at_s")) + number(settings, "seconds")

    def offered(self, settings: Settings) -> OfferedLoad:
        """A datagram every `interval_ms`."""
        return offered_stream(settings)

    def run(self, scene: Scene, settings: Settings) -> None:
        """Stream, delete, and look what came where."""
        endpoint = text(settings, "endpoint")
        namespace, _, name = endpoint.removeprefix("pod/").rpartition("/")
        metadata = f"{{name: {name}, namespace: {namespace or 'default'}}}"
        pod = f"apiVersion: v1\nkind: Pod\nmetadata: {metadata}\n"
        found, began, accepted = change_during(scene, settings, lambda: scene.cluster.delete(pod), [endpoint])
        pair = Pair(text(settings, "from"), text(settings, "to"))
        scene.record(list(removal(found, pair, endpoint, began, accepted)))
        if not any(one.place in servers(settings) and one.place != endpoint for one in found.arrivals):
            scene.tell(f"{pair.target}: no other endpoint got anything")


def removal(found: Stream, pair: Pair, endpoint: str, began: float, accepted: float) -> Iterator[Reading]:
    """Times in ms after the deletion began; 0 when nothing reached the endpoint any more."""
    after = [one.sent_s for one in found.arrivals if one.place == endpoint and one.sent_s >= began]
    last = max(after, default=began)
    yield pair.reading("accepted", (accepted - began) * 1e3, "ms", accepted)
    yield pair.reading("last to endpoint", (last - began) * 1e3, "ms", last)
    yield pair.reading("to endpoint after", len(after), "packets", began)
    yield pair.reading("lost", sum(found.sent_s[number] >= began for number in found.lost), "packets", began)


POLICY_ENFORCEMENT: Final = PolicyEnforcement()
ENDPOINT_REMOVAL: Final = EndpointRemoval()
