"""`coredns`: the cluster's DNS server in a pod."""

import argparse
import asyncio
import gc
import logging
import signal
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any, Final

from agents.dns import cluster, health
from agents.dns.api import Access, ApiUnavailableError, Handlers, Watcher, in_cluster
from agents.dns.cluster import Cluster
from agents.dns.forward import Forwarder
from agents.dns.names import key_from_text
from agents.dns.podnews import PodNews
from agents.dns.records import ClusterNames
from agents.dns.server import Responder, listen, sockets
from agents.dns.settings import Forwarding, SettingsError, forwarding, nameservers

_PATHS: Final = {
    cluster.SERVICES: "/api/v1/services",
    cluster.SLICES: "/apis/discovery.k8s.io/v1/endpointslices",
    # Of a pod without an address there is nothing to say.
    cluster.PODS: "/api/v1/pods?fieldSelector=status.podIP%21%3D",
}
_CONFIG: Final = "/api/v1/namespaces/{}/configmaps?fieldSelector=metadata.name%3D{}"
_LOG = logging.getLogger(__name__)


class Server:
    """The program: what it holds, and what the API's threads hand to its event loop."""

    def __init__(self, options: argparse.Namespace) -> None:
        names = ClusterNames(key_from_text(options.domain), tuple(options.reverse))
        self.cluster = Cluster(names, serial=int(time.time()))
        self._options = options
        self._default = nameservers(_text(options.resolv_conf))
        self.forwarder = Forwarder(Forwarding(self._default))
        self._configured = False
        self._leaving = False

    def missing(self) -> str:
        """Why it is not ready."""
        if self._leaving:
            return "shutting down"
        lacking = sorted(self.cluster.missing) + ([] if self._configured else ["configmap"])
        return f"waiting for: {', '.join(lacking)}" if lacking else ""

    async def run(self, access: Access) -> None:
        """Serve until SIGTERM, and some seconds longer for those who do not know of it yet."""
        options, loop = self._options, asyncio.get_running_loop()
        responder = Responder(self.cluster.zone, self.forwarder, self.cluster.synced)
        await listen(responder, *sockets(options.address, options.port))
        await health.serve(options.address, options.health_port, "/health", lambda: "")
        await health.serve(options.address, options.ready_port, "/ready", self.missing)
        upstreams = ", ".join(map(str, self._default)) or "nobody"
        _LOG.info("serving %s on port %d; asking %s for other names", options.domain, options.port, upstreams)
        for kind, path in _PATHS.items():
            news = PodNews() if kind == cluster.PODS else None
            self._follow(loop, access, path, partial(self.cluster.replace, kind), partial(self._change, kind), news)
        namespace, name = options.config.split("/")
        self._follow(loop, access, _CONFIG.format(namespace, name), self._configure, self._reconfigure)
        stopped = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopped.set)
        await stopped.wait()
        self._leaving = True
        await asyncio.sleep(options.lameduck)  # endpoints of ours go away meanwhile (CoreDNS' `lameduck`)

    def _follow(
        self,
        loop: asyncio.AbstractEventLoop,
        access: Access,
        path: str,
        listed: Callable[[list[dict[str, Any]]], None],
        changed: Callable[[str, dict[str, Any]], None],
        news: PodNews | None = None,
    ) -> None:
        def on_list(objects: list[dict[str, Any]]) -> None:
            if news is not None:
                news.listed(objects)
            loop.call_soon_threadsafe(listed, objects)

        def on_change(event: str, obj: dict[str, Any]) -> None:
            if news is None or news.matters(event, obj):
                loop.call_soon_threadsafe(changed, event, obj)

        Watcher(access, path, Handlers(on_list, on_change)).start()

    def _change(self, kind: str, event: str, obj: dict[str, Any]) -> None:
        if event == "DELETED":
            self.cluster.drop(kind, obj)
        else:
            self.cluster.put(kind, obj)

    def _configure(self, objects: list[dict[str, Any]]) -> None:
        self._apply((objects[0].get("data") or {}) if objects else {})
        self._configured = True

    def _reconfigure(self, event: str, obj: dict[str, Any]) -> None:
        self._apply({} if event == "DELETED" else obj.get("data") or {})

    def _apply(self, data: dict[str, str]) -> None:
        try:
            self.forwarder.forwarding = forwarding(data, self._default, self.cluster.zone.authority.apexes)
        except SettingsError as error:
            _LOG.error("configmap %s: %s; going on with the settings before", self._options.config, error)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; its exit status."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    try:
        access = _access(options)
        server = Server(options)
        gc.freeze()
        asyncio.run(server.run(access))
    except (ApiUnavailableError, OSError) as error:
        sys.stderr.write(f"Error: {error}\n")
        return 1
    return 0


def _access(options: argparse.Namespace) -> Access:
    if options.api_url is None:
        return in_cluster()
    return Access(options.api_url, options.token or options.token_file, options.ca)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="coredns", description="Kubinet's DNS server for a cluster.")
    add = parser.add_argument
    add("--domain", default="cluster.local", help="the cluster's domain")
    add("--reverse", type=IPv4Network, action="append", default=[], help="a network whose PTR records are served")
    add("--config", default="kube-system/coredns", help="namespace/name of the ConfigMap")
    add("--resolv-conf", type=Path, default=Path("/etc/resolv.conf"), help="names the upstream servers")
    add("--address", default="0.0.0.0", help="where to listen")
    add("--port", type=int, default=53, help="UDP and TCP")
    add("--health-port", type=int, default=health.HEALTH_PORT, help="/health")
    add("--ready-port", type=int, default=health.READY_PORT, help="/ready")
    add("--lameduck", type=float, default=5.0, help="seconds to go on serving after SIGTERM")
    add("--api-url", help="the API, where it is not the pod's own cluster's")
    add("--token", help="bearer token for --api-url")
    add("--token-file", type=Path, default=Path("/dev/null"), help="file with the token for --api-url")
    add("--ca", type=Path, help="certificate authority of --api-url")
    return parser


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


if __name__ == "__main__":
    sys.exit(main())
