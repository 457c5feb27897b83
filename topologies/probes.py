"""Finding out what the kernel can do by trying it, in throw-away namespaces of a forked child.

Each probe is a function without arguments that raises where the kernel refuses; its docstring says what it tries. They
run in the thread's present network namespace, which `try_all` makes for them.
"""

import ctypes
import json
import os
import select
import signal
import socket
import struct
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, NoReturn

from pyroute2 import IPRoute
from pyroute2.netlink import genlmsg
from pyroute2.netlink.exceptions import NetlinkError
from pyroute2.netlink.generic import GenericNetlinkSocket

from kubinet.syscalls import CLONE_NEWNET, CLONE_NEWNS, MS_PRIVATE, MS_REC, enter_user_namespace, mount
from topologies.conntrack_probe import kernel_conntrack

_SYS_BPF = 321
_BPF_MAP_CREATE = 0
_BPF_MAP_TYPE_XSKMAP = 17
_AF_XDP = 44
_NETLINK_NETFILTER = 12
_NFT_MSG_GETGEN = 10 << 8 | 16
_NLM_F_REQUEST = 1
_NLMSG_ERROR = 2
_LOOPBACK = 1
_DEADLINE_SECONDS = 5.0

_libc = ctypes.CDLL(None, use_errno=True)


def veth() -> None:
    """A veth pair."""
    with IPRoute() as connection:
        connection.link("add", ifname="veth-a", kind="veth", peer={"ifname": "veth-b"})
        connection.link("del", ifname="veth-a")


def _virtual_link(kind: str, **options: object) -> None:
    with IPRoute() as connection:
        connection.link("add", ifname="probe", kind=kind, **options)
        connection.link("del", ifname="probe")


def bridge() -> None:
    """A Linux bridge."""
    _virtual_link("bridge")


def vxlan() -> None:
    """A VXLAN interface of the kernel's."""
    _virtual_link("vxlan", vxlan_id=1, vxlan_port=4789)


def geneve() -> None:
    """A Geneve interface of the kernel's."""
    _virtual_link("geneve", geneve_id=1, geneve_remote="192.0.2.1")


def token_bucket() -> None:
    """sch_tbf on an interface."""
    _queueing("tbf", rate="1mbit", burst=3000, limit=30000)


def netem() -> None:
    """sch_netem on the loopback."""
    _queueing("netem", delay=1000)


def _queueing(kind: str, **options: object) -> None:
    with IPRoute() as connection:
        connection.link("add", ifname="probe", kind="bridge")
        index = connection.link_lookup(ifname="probe")[0]
        try:
            connection.tc("add", kind, index=index, handle="1:", **options)
        finally:
            connection.link("del", index=index)


def multipath() -> None:
    """A route with two next hops and the layer-4 hash policy."""
    with IPRoute() as connection:
        connection.link("set", index=_LOOPBACK, state="up")
        connection.addr("add", index=_LOOPBACK, address="192.0.2.1", prefixlen=24)
        hops = [{"gateway": "192.0.2.2"}, {"gateway": "192.0.2.3"}]
        connection.route("add", dst="198.51.100.0/24", multipath=hops)
        connection.addr("del", index=_LOOPBACK, address="192.0.2.1", prefixlen=24)
    Path("/proc/sys/net/ipv4/fib_multipath_hash_policy").write_text("1")


def openvswitch() -> None:
    """The generic netlink family of the kernel's Open vSwitch datapath."""
    with GenericNetlinkSocket() as connection:
        connection.bind("ovs_datapath", genlmsg)


def af_xdp() -> None:
    """An AF_XDP socket and the BPF map that steers packets to it (bpf(2))."""
    socket.socket(_AF_XDP, socket.SOCK_RAW, 0).close()
    attributes = ctypes.create_string_buffer(struct.pack("4I", _BPF_MAP_TYPE_XSKMAP, 4, 4, 1), 128)
    fd = _libc.syscall(_SYS_BPF, _BPF_MAP_CREATE, attributes, 128)
    if fd < 0:
        raise OSError(ctypes.get_errno(), f"bpf: {os.strerror(ctypes.get_errno())}")
    os.close(fd)


def nf_tables() -> None:
    """A question to nf_tables for its generation."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_NETFILTER) as connection:
        connection.settimeout(1.0)
        connection.send(struct.pack("=IHHII4x", 20, _NFT_MSG_GETGEN, _NLM_F_REQUEST, 1, 0))
        answer = connection.recv(4096)
    _, kind = struct.unpack_from("=IH", answer)
    code = struct.unpack_from("=i", answer, 16)[0] if kind == _NLMSG_ERROR else 0
    if code:
        raise OSError(-code, os.strerror(-code))


def overlayfs() -> None:
    """An overlay mount whose layers are on a tmpfs."""
    scratch = Path("/mnt")
    mount("tmpfs", scratch, "tmpfs")
    for name in ("lower", "upper", "work", "merged"):
        (scratch / name).mkdir()
    options = f"lowerdir={scratch}/lower,upperdir={scratch}/upper,workdir={scratch}/work,userxattr"
    mount("overlay", scratch / "merged", "overlay", options=options)


def tun() -> None:
    """Opening /dev/net/tun."""
    os.close(os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC))


PROBES: Final[Mapping[str, Callable[[], None]]] = {
    probe.__name__: probe
    for probe in (
        veth,
        bridge,
        token_bucket,
        netem,
        multipath,
        tun,
        openvswitch,
        kernel_conntrack,
        vxlan,
        geneve,
        af_xdp,
        nf_tables,
        overlayfs,
    )
}


def refusal(probe: Callable[[], None]) -> str:
    """The kernel's words when it refuses what the probe tries; empty when it works."""
    try:
        probe()
    except NetlinkError as error:
        return os.strerror(error.code) if error.code else str(error)
    except OSError as error:
        return error.strerror or str(error)
    except Exception as error:  # a probe that fails on its own must not take the others with it
        return f"the probe failed: {error!r}"
    return ""


def try_all(probes: Mapping[str, Callable[[], None]] = PROBES) -> dict[str, str]:
    """Every probe's refusal, in new namespaces (with a user namespace when not root).

    The key `namespaces` tells whether those could be made; without them it is the only key.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        _report(probes, writer)
    os.close(writer)
    deadline = time.monotonic() + _DEADLINE_SECONDS
    data = b""
    with os.fdopen(reader, "rb", buffering=0) as pipe:
        while select.select([pipe], [], [], max(0.0, deadline - time.monotonic()))[0]:
            part = pipe.read(65536)
            if not part:
                break
            data += part
    os.kill(child, signal.SIGKILL)  # it has ended, or hangs in a probe
    os.waitpid(child, 0)
    lines = [json.loads(line) for line in data.splitlines()]
    silent = dict.fromkeys(probes, f"no answer within {_DEADLINE_SECONDS:g} s")
    found: dict[str, str] = dict(lines)
    return found if found.get("namespaces") else silent | {"namespaces": "it died"} | found


def _report(probes: Mapping[str, Callable[[], None]], writer: int) -> NoReturn:
    """The child: one JSON line per probe, so that a probe that hangs hides only what follows it."""

    def say(name: str, words: str) -> None:
        os.write(writer, json.dumps([name, words]).encode() + b"\n")

    try:
        words = refusal(_enter)
        say("namespaces", words)
        for name, probe in probes.items():
            if words:
                break
            say(name, refusal(probe))
    finally:
        os._exit(0)


def _enter() -> None:
    enter_user_namespace(CLONE_NEWNS | CLONE_NEWNET)
    mount("none", "/", flags=MS_REC | MS_PRIVATE)
