"""What this machine can do for clusters (`kubinet doctor`), found by trying: each lack, its meaning and remedy."""

import os
import resource
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from agents.runtime.cgroups import find_hierarchies
from agents.runtime.mountinfo import parse
from kubinet.sandbox import search_path
from kubinet.units import format_rate
from topologies.links.mechanism import WIREFILTER_MAX_RATE
from topologies.probes import try_all

PROGRAMS: Mapping[str, str] = {
    "ovs-vswitchd": "openvswitch-switch",
    "ovsdb-server": "openvswitch-switch",
    "mnexec": "mininet",
    "ip": "iproute2",
    "tc": "iproute2",
    "nsenter": "util-linux",
}
"""Programs that every cluster runs, and Debian's packages that have them."""
FILES_PER_NODE = 64
PROCESSES_PER_NODE = 40
NEIGHBOURS_PER_NODE = 8
"""Generous estimates of what a node with a few pods takes of the machine's shared limits."""


@dataclass(frozen=True, slots=True)
class Capability:
    """One thing that the machine has or lacks."""

    name: str
    present: bool
    detail: str
    """What was seen: a version, a number, the kernel's words."""
    consequence: str
    """What Kubinet does, given that it is present or absent."""
    remedy: str = ""
    """What to do about the lack; empty when nothing has to be done."""
    needed: bool = False
    """Whether no cluster can run without it."""


def examine() -> tuple[Capability, ...]:
    """Everything, in the order of importance; takes well under a second and changes nothing on the machine."""
    refusals = try_all()
    which = partial(shutil.which, path=search_path())
    return (*basics(refusals, which), *datapaths(refusals), *links(refusals, which), *extras(refusals))


def basics(refusals: Mapping[str, str], which: Callable[[str], str | None]) -> Iterator[Capability]:
    """Namespaces, programs and devices without which nothing runs."""
    root = os.geteuid() == 0
    words = refusals.get("namespaces", "")
    kind = "mount, network and pid namespaces" if root else "user namespaces"
    yield Capability(
        kind,
        not words,
        words or "made and left again",
        "every cluster lives in throw-away namespaces" if not words else "no cluster can be made",
        namespaces_remedy(_sysctl, root=root) if words else "",
        needed=True,
    )
    missing = {name: package for name, package in PROGRAMS.items() if which(name) is None}
    yield Capability(
        "programs",
        not missing,
        f"missing: {', '.join(missing)}" if missing else ", ".join(PROGRAMS),
        "nodes cannot be made" if missing else "nodes run their own Open vSwitch under Mininet",
        f"apt install {' '.join(sorted(set(missing.values())))}" if missing else "",
        needed=True,
    )
    if words:
        return
    for name, key in (("veth pairs", "veth"), ("Linux bridge", "bridge")):
        yield _kernel(
            name, refusals[key], "links and switches are made of it", "nodes cannot be linked", f"modprobe {key}"
        )
    no_tun = refusals["tun"]
    yield Capability(
        "/dev/net/tun",
        not no_tun,
        no_tun or "can be opened",
        "the userspace datapath's own ports and userspace links use it"
        if not no_tun
        else "the userspace datapath has no port for the node itself",
        "modprobe tun; chmod 666 /dev/net/tun" if no_tun else "",
        needed=bool(refusals["openvswitch"]),
    )
    yield _kernel(
        "equal-cost multipath",
        refusals["multipath"],
        "fabrics spread flows over their paths by the outer UDP source port",
        "topologies with several equal paths cannot be made",
        "a kernel with CONFIG_IP_ROUTE_MULTIPATH",
    )


NAMESPACE_SETTINGS: Mapping[str, tuple[str, str]] = {
    "kernel.apparmor_restrict_unprivileged_userns": ("1", "0"),
    "kernel.unprivileged_userns_clone": ("0", "1"),
    "user.max_user_namespaces": ("0", "10000"),
}
"""Setting -> the value that keeps ordinary users from namespaces, and one that does not. Ubuntu's since 23.10, Debian's
of old, and every kernel's."""


def namespaces_remedy(sysctl: Callable[[str], str | None], *, root: bool) -> str:
    """What an administrator does so that namespaces can be made; `sysctl`: a setting's value, None where it is not."""
    forbidding = [f"{name}={right}" for name, (wrong, right) in NAMESPACE_SETTINGS.items() if sysctl(name) == wrong]
    if forbidding and not root:
        return f"sysctl -w {' '.join(forbidding)}, or run as root"
    return "leave the container that forbids them" if root else "run as root, or leave the container that forbids them"


def _sysctl(name: str) -> str | None:
    return _read(f"/proc/sys/{name.replace('.', '/')}").strip() or None


def datapaths(refusals: Mapping[str, str]) -> Iterator[Capability]:
    """What Open vSwitch can forward with; the userspace datapath always works."""
    if refusals.get("namespaces"):
        return
    words = refusals["openvswitch"]
    untracked = refusals["kernel_conntrack"]
    yield Capability(
        "kernel datapath",
        not words,
        words or "openvswitch",
        "nodes can forward in the kernel (datapath system)"
        if not words
        else "nodes forward in userspace (datapath netdev), about 0.4 Gbit/s per core",
        "modprobe openvswitch" if words else "",
    )
    yield Capability(
        "kernel datapath's connection tracking",
        not untracked,
        untracked or "zone, mark, label and NAT in one flow",
        "datapath auto is system" if not untracked else "datapath auto is netdev, and system is refused",
        "" if not untracked else "kubinet guest --kernel qemu" if not words else "modprobe openvswitch",
    )
    words = refusals["af_xdp"]
    yield Capability(
        "AF_XDP",
        not words,
        words or "sockets and maps",
        "the userspace datapath can use it (--datapath afxdp)"
        if not words
        else "the userspace datapath uses packet sockets",
        "run as root" if words else "",
    )
    for name in ("vxlan", "geneve"):
        words = refusals[name]
        yield Capability(
            f"{name} in the kernel",
            not words,
            words or "an interface was made",
            f"overlay {name} works with every datapath"
            if not words
            else f"overlay {name} needs the userspace datapath, which brings its own",
            f"modprobe {name}" if words else "",
        )


def links(refusals: Mapping[str, str], which: Callable[[str], str | None]) -> Iterator[Capability]:
    """What shapes links."""
    if refusals.get("namespaces"):
        return
    yield Capability(
        "rate (sch_tbf)",
        not refusals["token_bucket"],
        refusals["token_bucket"] or "a token bucket was set",
        "links are held to their declared rate" if not refusals["token_bucket"] else "links with a rate are refused",
        "modprobe sch_tbf" if refusals["token_bucket"] else "",
    )
    words = refusals["netem"]
    program = which("wirefilter") is not None and which("vde_switch") is not None
    userspace = program and not refusals["tun"]
    limit = format_rate(WIREFILTER_MAX_RATE)
    fallback = (
        f"delay, jitter and loss are made by vde-wirefilter, up to {limit} per link"
        if userspace
        else "links with delay, jitter or loss are refused"
    )
    yield Capability(
        "delay, jitter, loss (sch_netem)",
        not words,
        words or "netem was set",
        "the kernel delays and drops" if not words else fallback,
        "modprobe sch_netem" if words else "",
    )
    yield Capability(
        "delay in userspace (vde-wirefilter)",
        userspace,
        "wirefilter and /dev/net/tun" if userspace else "no /dev/net/tun" if program else "no program wirefilter",
        f"stands in for sch_netem, up to {limit} per link" if userspace else "delay needs the kernel's sch_netem",
        "" if userspace else "chmod 666 /dev/net/tun" if program else "apt install vde2",
    )


def extras(refusals: Mapping[str, str]) -> Iterator[Capability]:
    """What pods may use, and the machine's shared limits."""
    if not refusals.get("namespaces"):
        words = refusals["overlayfs"]
        yield Capability(
            "overlay file system",
            not words,
            words or "mounted",
            "containers write to a layer of their own" if not words else "containers see system folders read-only",
            "modprobe overlay" if words else "",
        )
        words = refusals["nf_tables"]
        yield Capability(
            "nf_tables",
            not words,
            words or "answers",
            "services: nftables works; pods with NET_ADMIN can use nft"
            if not words
            else "services: nftables does not work, and programs in pods that call nft fail",
            "modprobe nf_tables" if words else "",
        )
    yield _cgroups()
    yield from limits(_machine_limits())


def _cgroups() -> Capability:
    hierarchies = find_hierarchies(parse(Path("/proc/self/mountinfo").read_text()), _read("/proc/self/cgroup"))
    writable = sorted(name for name, one in hierarchies.items() if os.access(one.parent, os.W_OK))
    complete = {"cpu", "memory"} <= set(writable)
    return Capability(
        "control groups",
        complete,
        f"writable: {', '.join(writable)}" if writable else "none is writable",
        "containers' CPU and memory limits hold" if complete else "containers run without CPU and memory limits",
        "" if complete else "run as root, or in a systemd scope with Delegate=yes",
    )


@dataclass(frozen=True, slots=True)
class Limits:
    """The machine's shared limits; None: not readable or unlimited."""

    files: int | None
    inotify: int | None
    neighbours: int | None
    processes: int | None


def limits(found: Limits) -> Iterator[Capability]:
    """For how many nodes each limit is good."""
    rows = (
        ("open files", found.files, FILES_PER_NODE, "ulimit -n", "raise LimitNOFILE or /etc/security/limits.conf"),
        ("inotify instances", found.inotify, 1, "fs.inotify", "sysctl fs.inotify.max_user_instances=8192"),
        ("neighbours", found.neighbours, NEIGHBOURS_PER_NODE, "gc_thresh3", "sysctl net.ipv4.neigh.default.gc_thresh3"),
        ("processes", found.processes, PROCESSES_PER_NODE, "ulimit -u, pid_max", "sysctl kernel.pid_max=4194304"),
    )
    for name, value, per_node, source, remedy in rows:
        if value is None:
            yield Capability(f"limit: {name}", True, f"{source}: unlimited", "no bound on the number of nodes")
            continue
        room = value // per_node
        yield Capability(
            f"limit: {name}",
            room >= 20,
            f"{source}: {value}",
            f"good for about {room} nodes",
            "" if room >= 20 else remedy,
        )


def _machine_limits() -> Limits:
    _, files = resource.getrlimit(resource.RLIMIT_NOFILE)
    soft, _ = resource.getrlimit(resource.RLIMIT_NPROC)
    pids = _number("/proc/sys/kernel/pid_max")
    bounds = [value for value in (None if soft == resource.RLIM_INFINITY else soft, pids) if value is not None]
    return Limits(
        files=None if files == resource.RLIM_INFINITY else files,
        inotify=_number("/proc/sys/fs/inotify/max_user_instances"),
        neighbours=_number("/proc/sys/net/ipv4/neigh/default/gc_thresh3"),
        processes=min(bounds, default=None),
    )


def _kernel(name: str, words: str, use: str, lack: str, remedy: str) -> Capability:
    return Capability(name, not words, words or "tried", lack if words else use, remedy if words else "", needed=True)


def _read(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""


def _number(path: str) -> int | None:
    text = _read(path).strip()
    return int(text) if text.isdigit() else None
