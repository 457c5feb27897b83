"""Measurement `pcap`: captures packets at places and links while the workload runs, as `kubinet capture` does."""

import io
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from ipaddress import IPv4Address
from typing import Final

from experiments.base import Holds, Parameter
from experiments.design.model import Settings
from experiments.scene import Reading, Scene
from experiments.workloads.common import Plugin, file_name, names, text, whole
from kubinet.capturing import Limits, Place, capture, places_of
from kubinet.cluster import Cluster
from kubinet.errors import InvalidInputError, KubinetError

_START_SECONDS: Final = 15.0
_KINDS: Final = ("pod", "node", "outside", "link")


class Pcap(Plugin):
    """The measurement."""

    summary = "Captures packets at pods, nodes, outside hosts or both ends of a link into one pcapng file under raw/."
    parameters = (
        Parameter(
            "places",
            "",
            "",
            "`pod/NAME`, `node/NAME[:INTERFACE]`, `outside/NAME`, `link/NAME`; with commas",
            holds=Holds.CAPTURED,
        ),
        Parameter("filter", "", "", "what is kept, as for tcpdump (pcap-filter(7)); empty: everything"),
        Parameter("count", 100_000, 20_000, "packets after which it ends, in all", 1, 10_000_000),
    )
    required = ("places",)
    metrics: Final = {"captured": "packets"}
    programs = ("tcpdump",)

    def check(self, settings: Settings) -> None:
        """Places of kinds that can be captured at."""
        for name in names(settings, "places"):
            kind, slash, rest = name.partition("/")
            if kind not in _KINDS or not slash or not rest:
                raise InvalidInputError(f"parameter 'places': '{name}' is none of {'/NAME, '.join(_KINDS)}/NAME")

    @contextmanager
    def watch(self, scene: Scene, settings: Settings) -> Iterator[None]:
        """Capture from the moment at which every tcpdump listens."""
        cluster = scene.cluster
        if not isinstance(cluster, Cluster):
            raise KubinetError("measurement pcap needs a cluster of this machine")
        places = [
            place for name in names(settings, "places") for place in _places(cluster, name, text(settings, "filter"))
        ]
        stream, failures, counts = io.BytesIO(), list[Exception](), list[int]()
        listening, limits = threading.Event(), Limits(whole(settings, "count"), ended=threading.Event())

        def work() -> None:
            try:
                counts.extend(
                    capture(
                        places,
                        stream,
                        limits,
                        comment="kubinet experiment",
                        names=_names(cluster),
                        started=listening.set,
                    )
                )
            except (KubinetError, OSError) as error:
                failures.append(error)
            finally:
                listening.set()

        thread = threading.Thread(target=work, name="pcap", daemon=True)
        thread.start()
        try:
            if not listening.wait(_START_SECONDS):
                raise KubinetError(f"pcap: no capture at {settings['places']} after {_START_SECONDS:g} s")
            if failures:
                raise failures[0]
            yield
        finally:
            assert limits.ended is not None
            limits.ended.set()
            thread.join(_START_SECONDS)
        if failures:
            raise failures[0]
        scene.raw(file_name("pcap", *names(settings, "places")) + ".pcapng", stream.getvalue())
        scene.record(
            Reading("captured", count, "packets", scene.started_s, source=one.interface.name)
            for one, count in zip(places, counts, strict=True)
        )


def _places(cluster: Cluster, name: str, packet_filter: str) -> Sequence[Place]:
    kind, _, rest = name.partition("/")
    if kind == "link":
        return places_of(cluster, [name], "default", packet_filter)
    namespace, _, pod = rest.rpartition("/")
    word = f"pod/{pod}" if kind == "pod" else rest
    return places_of(cluster, [word], namespace or "default", packet_filter)


def _names(cluster: Cluster) -> dict[IPv4Address, str]:
    """Pods' addresses, for the file's name resolution."""
    pods = cluster.client.list("Pod")["items"]
    return {
        IPv4Address(pod["status"]["podIP"]): f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
        for pod in pods
        if (pod.get("status") or {}).get("podIP") and not pod["spec"].get("hostNetwork")
    }


PCAP: Final = Pcap()
