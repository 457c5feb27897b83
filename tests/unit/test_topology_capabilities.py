"""`kubinet doctor`: what a lack means."""

import shutil
import time

import pytest
from stalls import running_time

from topologies.capabilities import Capability, Limits, basics, datapaths, examine, limits, links, namespaces_remedy
from topologies.probes import PROBES, refusal, try_all

WORKS = dict.fromkeys(PROBES, "") | {"namespaces": ""}


def _found(name: str) -> str:
    return f"/usr/bin/{name}"


def _by_name(found: list[Capability]) -> dict[str, Capability]:
    return {one.name: one for one in found}


def test_the_examination_is_quick_and_complete() -> None:
    """On any machine the examination takes less than a second and names every lack's consequence."""
    seconds = []
    for _ in range(3):  # the best of three: others may be at work
        began = running_time()
        found = examine()
        seconds.append(running_time() - began)
    assert min(seconds) < 1
    assert all(one.consequence for one in found)
    assert len({one.name for one in found}) == len(found)
    assert any(one.name == "programs" for one in found)


def test_a_lack_of_netem_names_the_fallback() -> None:
    """Without netem, delay is wirefilter's up to its limit; without both, such links are refused."""
    lacking = WORKS | {"netem": "No such file or directory"}
    assert _by_name(list(links(lacking, _found)))["delay, jitter, loss (sch_netem)"] == Capability(
        "delay, jitter, loss (sch_netem)",
        False,
        "No such file or directory",
        "delay, jitter and loss are made by vde-wirefilter, up to 200mbit per link",
        "modprobe sch_netem",
    )
    without = _by_name(list(links(lacking, lambda _name: None)))
    assert without["delay, jitter, loss (sch_netem)"].consequence == "links with delay, jitter or loss are refused"
    assert without["delay in userspace (vde-wirefilter)"].remedy == "apt install vde2"


@pytest.mark.parametrize(
    ("settings", "remedy"),
    [
        (
            {"kernel.apparmor_restrict_unprivileged_userns": "1", "user.max_user_namespaces": "96000"},
            "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0, or run as root",
        ),
        (
            {"kernel.unprivileged_userns_clone": "0", "user.max_user_namespaces": "0"},
            "sysctl -w kernel.unprivileged_userns_clone=1 user.max_user_namespaces=10000, or run as root",
        ),
        (
            {"kernel.apparmor_restrict_unprivileged_userns": "0"},
            "run as root, or leave the container that forbids them",
        ),
    ],
    ids=["Ubuntu", "Debian of old", "a container"],
)
def test_the_setting_that_forbids_users_their_namespaces_is_named(settings: dict[str, str], remedy: str) -> None:
    """Only what this machine has set so; where no setting forbids them, what surrounds the user does."""
    assert namespaces_remedy(settings.get, root=False) == remedy
    assert namespaces_remedy(settings.get, root=True) == "leave the container that forbids them"


def test_missing_programs_are_fatal_and_name_their_packages() -> None:
    """Without ovs-vswitchd no cluster runs; the package to install is named."""
    programs = _by_name(list(basics(WORKS, lambda name: None if name == "ovs-vswitchd" else _found(name))))["programs"]
    assert (programs.present, programs.needed, programs.remedy) == (False, True, "apt install openvswitch-switch")


@pytest.mark.skipif(shutil.which("tc", path="/usr/sbin:/sbin") is None, reason="tc (iproute2) is not installed")
def test_programs_for_administrators_are_found_for_ordinary_users(monkeypatch: pytest.MonkeyPatch) -> None:
    """Debian's users have no /usr/sbin in their PATH, where tc is; clusters find it there, and so does doctor."""
    monkeypatch.setenv("PATH", "/usr/local/bin:/usr/bin:/bin")
    monkeypatch.setattr("topologies.capabilities.try_all", lambda: {"namespaces": "not tried"})
    (programs,) = (one for one in examine() if one.name == "programs")
    assert "tc" not in programs.detail.removeprefix("missing: ").split(", ") or programs.present


def test_without_namespaces_nothing_else_is_claimed() -> None:
    """When namespaces cannot be made, that is said, and no probe's result is invented."""
    refused = {"namespaces": "Operation not permitted"}
    found = list(basics(refused, _found))
    assert [(one.present, one.needed) for one in found] == [(False, True), (True, True)]
    assert not list(datapaths(refused))
    assert not list(links(refused, _found))


def test_a_kernel_datapath_without_connection_tracking_is_told_apart() -> None:
    """Where openvswitch is there and tracks no connections, `auto` is netdev and the guest kernel is the remedy."""
    untracked = WORKS | {"kernel_conntrack": "Invalid argument"}
    found = _by_name(list(datapaths(untracked)))
    assert found["kernel datapath"].present
    assert found["kernel datapath's connection tracking"] == Capability(
        "kernel datapath's connection tracking",
        False,
        "Invalid argument",
        "datapath auto is netdev, and system is refused",
        "kubinet guest --kernel qemu",
    )


def test_tun_is_needed_only_without_the_kernel_datapath() -> None:
    """The userspace datapath's ports are taps; with the kernel's datapath a closed /dev/net/tun stops nothing."""
    closed = WORKS | {"tun": "Permission denied"}
    assert not _by_name(list(basics(closed, _found)))["/dev/net/tun"].needed
    userspace = closed | {"openvswitch": "No such file or directory"}
    assert _by_name(list(basics(userspace, _found)))["/dev/net/tun"].needed


@pytest.mark.parametrize(
    ("files", "present", "consequence"),
    [(20_000, True, "good for about 312 nodes"), (1024, False, "good for about 16 nodes"), (None, True, "no bound on")],
)
def test_limits_say_for_how_many_nodes_they_are_good(files: int | None, present: bool, consequence: str) -> None:
    """1024 open files are good for 16 nodes."""
    first = next(limits(Limits(files=files, inotify=8192, neighbours=1024, processes=4_000_000)))
    assert first.present is present
    assert first.consequence.startswith(consequence)


def _refuses() -> None:
    raise PermissionError(1, "Operation not permitted")


def _breaks() -> None:
    raise RuntimeError("oops")


def _hangs() -> None:
    time.sleep(60)


def test_a_probe_that_fails_or_hangs_does_not_hide_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each probe's outcome is reported on its own, a hanging one after the deadline."""
    monkeypatch.setattr("topologies.probes._DEADLINE_SECONDS", 0.5)
    found = try_all({"good": lambda: None, "refuses": _refuses, "breaks": _breaks, "hangs": _hangs})
    if found["namespaces"]:
        pytest.skip(f"this machine makes no namespaces: {found['namespaces']}")
    assert found == {
        "namespaces": "",
        "good": "",
        "refuses": "Operation not permitted",
        "breaks": "the probe failed: RuntimeError('oops')",
        "hangs": "no answer within 0.5 s",
    }
    assert refusal(_refuses) == "Operation not permitted"
