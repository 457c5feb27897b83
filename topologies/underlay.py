"""The underlay service: owns the Mininet network of a cluster and answers questions about it.

Protocol on `underlay.sock`: a JSON line as request, one as answer. `{"command": "links"}` lists links with both ends;
`{"command": "link", "name": ..., "up": true|false}` sets a link up or down; `{"command": "set", "name": ..., "values":
{"delay": "5ms"}}` changes its quantities; `{"command": "measure", "names": [...], "load": [...], "seconds": 0.5}`
measures links (all without names), those under "load" (all without it) with so many seconds of full frames each way;
`{"command": "probe", "name": ..., "frames": 20}` sends a few frames each way and says how many arrived;
`{"command": "cli"}` with three file descriptors beside it (stdin, stdout, stderr) runs Mininet's own prompt to its end.
"""

import fcntl
import json
import logging
import os
import signal
import socket
import struct
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from mininet.cli import CLI

from kubinet import collector, netlink
from kubinet.client import Client
from kubinet.errors import KubinetError
from kubinet.facts import facts_to_json
from kubinet.netlink import Netlink
from kubinet.netns import namespace, of_process
from kubinet.service import ServiceContext
from kubinet.syscalls import receive_fds
from topologies.announcer import Announcer
from topologies.build import Underlay, build, restore_routes
from topologies.datapath import choose_datapath, detect_datapaths
from topologies.document import parse_topology, spell, to_document
from topologies.links.change import apply_change, changed
from topologies.links.measure import measure_links
from topologies.links.probe import probe
from topologies.links.tools import detect_tools
from topologies.links.wires import LinkEnds
from topologies.model import Role, Topology
from topologies.plan import make_plan
from topologies.resolvers import Resolvers, publish_resolv_conf, resolv_conf, served_names
from topologies.underlay_protocol import SOCKET

_LOG = logging.getLogger(__name__)
_CHANGING = threading.Lock()
_MEASURING = threading.Lock()
_SIOCGIFFLAGS = 0x8913
_IFF_UP = 1


def serve(context: ServiceContext) -> None:
    """Build the underlay, write the facts, answer until SIGTERM."""
    document = json.loads((context.state_dir / "topology.json").read_text())
    topology = parse_topology(document, lambda path: f"topology.json: {spell(path)}")
    context.run_dir.mkdir(exist_ok=True)
    tools = detect_tools()
    topology = _with_datapath(topology)
    plan = make_plan(topology)
    publish_resolv_conf(resolv_conf(topology, plan), context.run_dir)  # before the hosts: they copy the mounts
    underlay = build(topology, context.run_dir, tools)
    resolvers = Resolvers(served_names(topology, plan), underlay.pid)
    _replace(context.state_dir / "topology.json", json.dumps(to_document(topology)))
    _replace(context.facts_file, facts_to_json(underlay.facts(context.cluster)))
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(context.run_dir / SOCKET))
    listener.listen(16)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    announcer = Announcer(underlay, Client(context.api_url, context.token))
    announcer.start()
    context.ready({name: round(seconds, 3) for name, seconds in underlay.timings.items()})
    collector.search_rarely()
    try:
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=_answer, args=(underlay, announcer, connection), daemon=True).start()
    finally:
        resolvers.close()
        underlay.close()


def _replace(path: Path, text: str) -> None:
    """Write a file that others may be reading: they see the old or the new one."""
    draft = path.with_suffix(".new")
    draft.write_text(text)
    draft.replace(path)


def _with_datapath(topology: Topology) -> Topology:
    """The topology with the datapath that `auto` is on this machine."""
    datapath = choose_datapath(topology, detect_datapaths(topology.network.overlay))
    return replace(topology, datapath_requested=str(datapath), network=replace(topology.network, datapath=datapath))


def _answer(underlay: Underlay, announcer: Announcer, connection: socket.socket) -> None:
    with connection:
        request: dict[str, Any] = {}
        fds: list[int] = []
        try:
            request, fds = _receive(connection)
            answer = _do(underlay, announcer, request, fds)
        except KubinetError as error:
            answer = {"error": str(error)}
        except Exception:
            _LOG.exception("request %s", request)
            answer = {"error": "the underlay service failed; see underlay.log"}
        finally:
            for fd in fds:
                os.close(fd)
        connection.sendall(json.dumps(answer).encode() + b"\n")


def _receive(connection: socket.socket) -> tuple[dict[str, Any], list[int]]:
    data, fds = receive_fds(connection, 65536, 3)
    while not data.endswith(b"\n"):
        more = connection.recv(65536)
        if not more:
            break
        data += more
    request: dict[str, Any] = json.loads(data)
    return request, fds


def _do(underlay: Underlay, announcer: Announcer, request: dict[str, Any], fds: list[int]) -> dict[str, Any]:
    match request.get("command"):
        case "links":
            return {"links": [_describe(underlay, name) for name in underlay.ends]}
        case "link":
            return _set_link(underlay, announcer, str(request.get("name")), up=bool(request.get("up")))
        case "set":
            return _change_link(underlay, str(request.get("name")), dict(request.get("values") or {}))
        case "measure":
            names = [str(name) for name in request.get("names") or underlay.ends]
            seconds = float(request.get("seconds", 0.5))
            load = request.get("load")
            return {"links": _measured(underlay, names, names if load is None else load, seconds)}
        case "probe":
            ends = _ends(underlay, str(request.get("name")))
            return {"directions": [asdict(one) for one in probe(ends, int(request.get("frames") or 20))]}
        case "cli" if len(fds) == 3:
            return {"exit": _prompt(underlay, fds)}
        case command:
            raise KubinetError(f"underlay: unknown command {command!r}")


def _ends(underlay: Underlay, name: str) -> LinkEnds:
    if name not in underlay.ends:
        raise KubinetError(f"link '{name}' is not in this cluster; its links: {', '.join(underlay.ends)}")
    return underlay.ends[name]


def _describe(underlay: Underlay, name: str) -> dict[str, Any]:
    ends = underlay.ends[name]
    link = ends.link
    return {
        "name": name,
        "wire": str(ends.wire),
        "number": ends.number,
        "rate": link.rate,
        "delay": link.delay,
        "jitter": link.jitter,
        "loss": link.loss,
        "queue": None if link.queue is None else str(link.queue),
        "ends": [
            {
                "vertex": end.vertex,
                "interface": end.name,
                "pid": pid,
                "address": str(end.address or ""),
                "up": _is_up(end.name, pid),
            }
            for end, pid in ((ends.a, ends.pid_a), (ends.b, ends.pid_b))
        ],
    }


def _is_up(interface: str, pid: int) -> bool:
    """Whether the interface is set up (netdevice(7): IFF_UP)."""
    with namespace(of_process(pid)), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        answer = fcntl.ioctl(control, _SIOCGIFFLAGS, struct.pack("16sh14x", interface.encode(), 0))
    return bool(struct.unpack("16sh14x", answer)[1] & _IFF_UP)


def _set_link(underlay: Underlay, announcer: Announcer, name: str, *, up: bool) -> dict[str, Any]:
    ends = _ends(underlay, name)
    for end, pid in ((ends.a, ends.pid_a), (ends.b, ends.pid_b)):
        with Netlink(of_process(pid)) as channel:
            channel.run([netlink.set_link(end.name, up=up)])
    for end, pid in ((ends.a, ends.pid_a), (ends.b, ends.pid_b)):
        role = underlay.topology.role(end.vertex)
        if up and role in (Role.ROUTER, Role.OUTSIDE):
            restore_routes(pid, end.vertex, role, underlay.plan)
    announcer.refresh((ends.a.vertex, ends.b.vertex))
    return {"name": name, "up": up}


def _change_link(underlay: Underlay, name: str, values: Mapping[str, object]) -> dict[str, Any]:
    with _CHANGING:
        ends = _ends(underlay, name)
        underlay.ends[name] = apply_change(ends, changed(ends.link, values, underlay.tools, ends.mtu), underlay.wires)
    return _describe(underlay, name)


def _measured(underlay: Underlay, names: Sequence[str], load: Sequence[str], seconds: float) -> list[dict[str, Any]]:
    """Declared and measured quantities of links; one request at a time, so that they do not disturb each other."""
    links = [_ends(underlay, name) for name in names]
    with _MEASURING:
        found = measure_links(links, seconds=seconds, load=frozenset(load))
    return [
        {
            **_describe(underlay, name),
            "directions": [asdict(one) for one in measurement.directions],
            "checks": [{**asdict(one), "kept": one.kept} for one in measurement.checks()],
            "problems": list(measurement.problems()),
        }
        for name, measurement in zip(names, found, strict=True)
    ]


def _prompt(underlay: Underlay, fds: list[int]) -> int:
    """Mininet's prompt in a forked child: it has the shells' terminals, and its end cannot hurt the service."""
    child = os.fork()
    if child == 0:
        try:
            for target, fd in enumerate(fds):
                os.dup2(fd, target)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            CLI(underlay.net)
            os._exit(0)
        except BaseException as error:
            os.write(2, f"{error}\n".encode())
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
