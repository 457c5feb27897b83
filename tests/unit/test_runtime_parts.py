"""The pure parts of the container runtime."""

import itertools
import json
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.runtime import capabilities
from agents.runtime.cgroups import Cgroups, Hierarchy, find_hierarchies
from agents.runtime.logs import LINE_LIMIT, LineSplitter, LogFile, timestamp
from agents.runtime.mountinfo import parse
from agents.runtime.rootfs import machine_view
from agents.runtime.sandboxes import etc_files
from kubinet.cri import (
    ContainerSpec,
    EmptyDirSource,
    FilesSource,
    HostAlias,
    HostPathSource,
    MountSpec,
    ResourceLimits,
    SandboxSpec,
)
from kubinet.crilink import ContainerRuntimeError
from kubinet.criwire import decode, encode


def test_timestamp() -> None:
    """Times are RFC 3339 in UTC with nine digits."""
    assert timestamp(1_700_000_000_000_000_005) == "2023-11-14T22:13:20.000000005Z"


@given(st.binary(max_size=3 * LINE_LIMIT), st.lists(st.integers(0, 3 * LINE_LIMIT), max_size=5))
def test_no_byte_of_output_is_lost(data: bytes, cuts: list[int]) -> None:
    """However output arrives, its entries joined are the output, and none is longer than the limit."""
    splitter = LineSplitter()
    entries = []
    places = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    for start, end in itertools.pairwise(places):
        entries += splitter.feed(data[start:end])
    entries += splitter.finish()
    joined = b"".join(text + (b"\n" if whole else b"") for text, whole in entries)
    assert joined == data or joined == data + b"\n"
    assert all(len(text) <= LINE_LIMIT for text, _ in entries)


def test_log_rotates_once(tmp_path: Path) -> None:
    """A log that reaches its size is put aside, taking the place of the one before."""
    log = LogFile(tmp_path / "0.log", rotate_at=100)
    for number in range(6):
        log.write(0, "stdout", [(b"%d" % number, True)])
    log.close()
    line = "1970-01-01T00:00:00.000000000Z stdout F {}\n"
    assert (tmp_path / "0.log.1").read_text() == line.format(2) + line.format(3)
    assert (tmp_path / "0.log").read_text() == line.format(4) + line.format(5)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_full_disk_is_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Output that cannot be written is counted, and reported once."""
    (tmp_path / "0.log").symlink_to("/dev/full")
    log = LogFile(tmp_path / "0.log")
    log.write(0, "stdout", [(b"x", True)])
    log.write(0, "stdout", [(b"x", True)])
    log.close()
    assert log.lost == 2 * len("1970-01-01T00:00:00.000000000Z stdout F x\n")
    assert capsys.readouterr().err.count("No space left on device") == 1


MOUNTS_V1 = (
    "30 20 0:25 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
    "31 20 0:26 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
    "32 20 0:27 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
)


def test_cgroup_v1_is_found() -> None:
    """On a hybrid machine limits go to the v1 hierarchies, below the own group."""
    assert find_hierarchies(parse(MOUNTS_V1), "4:memory:/a\n1:cpu,cpuacct:/\n0::/\n") == {
        "memory": Hierarchy(Path("/sys/fs/cgroup/memory/a"), unified=False),
        "cpu": Hierarchy(Path("/sys/fs/cgroup/cpu,cpuacct"), unified=False),
    }


def test_cgroup_v2_is_found() -> None:
    """On an ordinary machine both controllers are in the unified hierarchy."""
    group = Hierarchy(Path("/sys/fs/cgroup/user.slice"), unified=True)
    mounts = parse("30 20 0:25 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate\n")
    assert find_hierarchies(mounts, "0::/user.slice\n") == {"cpu": group, "memory": group}


def test_read_only_cgroups_are_not_used() -> None:
    """What is mounted read-only enforces nothing, and each asked limit says so."""
    mounts = parse("30 20 0:25 / /sys/fs/cgroup ro - cgroup2 cgroup2 rw\n")
    group = Cgroups(find_hierarchies(mounts, "0::/\n"), "c").make("x", ResourceLimits(cpu=0.5))
    assert group.unenforced == (
        "limit cpu=0.5 is not enforced: no control group hierarchy with the cpu controller is mounted writable",
    )


def test_mount_targets_are_unescaped() -> None:
    """Spaces in mountinfo are written as octal."""
    assert parse(r"1 2 0:1 / /a\040b rw - tmpfs x rw")[0].target == Path("/a b")


def test_default_capabilities() -> None:
    """A container may open raw sockets and cannot administrate, unless it asks for it."""
    numbers = {name: number for number, name in enumerate(capabilities.NAMES)}
    dropped = set(capabilities.dropped((), 40))
    assert numbers["NET_RAW"] not in dropped
    assert {numbers["NET_ADMIN"], numbers["SYS_ADMIN"]} <= dropped
    assert numbers["NET_ADMIN"] not in capabilities.dropped(("CAP_NET_ADMIN",), 40)
    with pytest.raises(ContainerRuntimeError, match="capability 'NET_ADMN' is unknown"):
        capabilities.dropped(("NET_ADMN",), 40)


def test_machine_view() -> None:
    """Programs' folders are shown, /etc, /usr and /var by overlay; homes and everything else are not."""
    entries = {"usr": None, "etc": None, "var": None, "opt": None, "home": None, "work": None, "bin": "usr/bin"}
    view = machine_view(entries, overlays=True, user_namespace=True)
    assert (view.overlays, view.binds, view.symlinks) == (("etc", "usr", "var"), ("opt",), (("bin", "usr/bin"),))
    assert [view.shows(Path(p)) for p in ("/usr/bin/x", "/bin/x", "/home/x", "/work/x")] == [True, True, False, False]


def test_etc_files() -> None:
    """A pod's resolv.conf and hosts are what its spec says."""
    files = etc_files(
        SandboxSpec(
            "u", "ns", "p", "host", "n1",
            address=IPv4Address("10.244.0.5"),
            nameservers=(IPv4Address("10.96.0.10"),),
            searches=("ns.svc.cluster.local", "svc.cluster.local"),
            dns_options=("ndots:5",),
            host_aliases=(HostAlias(IPv4Address("1.2.3.4"), ("a", "b")),),
        )
    )  # fmt: skip
    assert files["/etc/hosts"].startswith("# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n")
    assert files["/etc/resolv.conf"] == (
        "search ns.svc.cluster.local svc.cluster.local\nnameserver 10.96.0.10\noptions ndots:5\n"
    )
    assert files["/etc/hosts"].endswith("10.244.0.5\thost\n1.2.3.4\ta b\n")


def test_a_pods_full_name_is_in_its_hosts_file() -> None:
    """Full name first, then the short one, whichever is the host name; host-network pods say whose file it is."""
    full = "h.sub.ns.svc.cluster.local"
    for hostname in ("h", full):
        spec = SandboxSpec("u", "ns", "p", hostname, "n1", address=IPv4Address("10.244.0.5"), fqdn=full)
        assert etc_files(spec)["/etc/hosts"].endswith(f"\n10.244.0.5\t{full}\th\n")
    spec = SandboxSpec("u", "ns", "p", "n1", "n1", network_namespace=Path("/proc/9/ns/net"))
    assert etc_files(spec)["/etc/hosts"].startswith("# Kubernetes-managed hosts file (host network).\n")


def test_specs_survive_the_wire() -> None:
    """A spec with every kind of volume is the same after JSON."""
    spec = ContainerSpec(
        "u", "c", 1, ("a", "b"),
        env={"A": "b"},
        mounts=(
            MountSpec(Path("/e"), EmptyDirSource("v", 5)),
            MountSpec(Path("/f"), FilesSource("w", {"x": b"\xff\x00"}, 0o600), sub_path="s"),
            MountSpec(Path("/h"), HostPathSource(Path("/etc")), read_only=True),
        ),
        limits=ResourceLimits(1.5, None),
        programs={"/agnhost": Path("/x")},
    )  # fmt: skip
    assert decode(ContainerSpec, json.loads(json.dumps(encode(spec)))) == spec
