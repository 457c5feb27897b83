"""Pod sandboxes: the network namespace held by descriptor, the pod's files under /etc, its volumes."""

import fcntl
import os
import re
import shutil
import socket
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from agents.runtime.containers import Container
from agents.runtime.rootfs import Bind
from kubinet import syscalls
from kubinet.cri import EmptyDirSource, FilesSource, HostPathSource, MountSpec, SandboxInfo, SandboxSpec
from kubinet.crilink import ContainerRuntimeError

_SIOCSIFFLAGS: Final = 0x8914
_IFF_UP: Final = 1
_IPV6_OFF_BY_DEFAULT: Final = "/proc/sys/net/ipv6/conf/default/disable_ipv6"
_HOSTS_HEADER: Final = "# Kubernetes-managed hosts file."
_HOST_NETWORK_HEADER: Final = "# Kubernetes-managed hosts file (host network)."
_NAME: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")


@dataclass(slots=True)
class Sandbox:
    """One pod's share of the machine."""

    spec: SandboxSpec
    netns: int
    folder: Path
    """Volumes; made when the first one is."""
    containers: dict[str, Container] = field(default_factory=dict)
    """By name: the last attempt."""

    def info(self) -> SandboxInfo:
        """What clients see of it."""
        return SandboxInfo(
            self.spec.pod_uid,
            self.spec.namespace,
            self.spec.name,
            self.spec.node,
            Path(f"/proc/{os.getpid()}/fd/{self.netns}"),
            tuple(container.status() for container in self.containers.values()),
        )

    def close(self) -> None:
        """Let go of the network namespace and the volumes; the containers are gone."""
        os.close(self.netns)
        if self.folder.exists():
            for volume in self.folder.glob("empty/*"):
                if volume.is_mount():
                    syscalls.unmount(str(volume))
            shutil.rmtree(self.folder)


def safe_name(name: str, what: str) -> str:
    """`name`, when it can be a file's name; uids, containers' and volumes' names become some."""
    if not _NAME.fullmatch(name):
        raise ContainerRuntimeError(f"{what} {name!r}: only letters, digits, '-', '_' and '.' are allowed")
    return name


def open_sandbox(spec: SandboxSpec, own_netns: int, volumes: Path) -> Sandbox:
    """Make the pod's network namespace with its loopback up, or open the one that it shall use."""
    folder = volumes / safe_name(spec.pod_uid, "pod uid")
    if spec.network_namespace is None:
        return Sandbox(spec, _new_network_namespace(own_netns), folder)
    try:
        return Sandbox(spec, os.open(spec.network_namespace, os.O_RDONLY | os.O_CLOEXEC), folder)
    except OSError as error:
        raise ContainerRuntimeError(
            f"pod {spec.namespace}/{spec.name}: network namespace {spec.network_namespace}: {error.strerror}"
        ) from error


def _new_network_namespace(own: int) -> int:
    syscalls.unshare(syscalls.CLONE_NEWNET)
    try:
        namespace = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
            fcntl.ioctl(control, _SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", _IFF_UP))
        # For the interface that the pod's agent makes; the agent sets the default back (agents/pod_network.py).
        with open(_IPV6_OFF_BY_DEFAULT, "wb", buffering=0) as setting:  # noqa: PTH123 - for every pod
            setting.write(b"1")
    finally:
        syscalls.setns(own, syscalls.CLONE_NEWNET)
    return namespace


def etc_files(spec: SandboxSpec) -> dict[str, str]:
    """The files that a pod has of its own: path -> text."""
    resolver = [f"nameserver {address}" for address in spec.nameservers]
    if spec.searches:
        resolver.insert(0, f"search {' '.join(spec.searches)}")
    if spec.dns_options:
        resolver.append(f"options {' '.join(spec.dns_options)}")
    hosts = [
        _HOSTS_HEADER if spec.network_namespace is None else _HOST_NETWORK_HEADER,
        "127.0.0.1\tlocalhost",
        "::1\tlocalhost ip6-localhost ip6-loopback",
        "fe00::0\tip6-localnet",
        "ff00::0\tip6-mcastprefix",
        "ff02::1\tip6-allnodes",
        "ff02::2\tip6-allrouters",
    ]
    if spec.address is not None:
        names = [spec.fqdn, spec.hostname.partition(".")[0]] if spec.fqdn else [spec.hostname]
        hosts.append("\t".join([str(spec.address), *names]))
    hosts += [f"{alias.address}\t{' '.join(alias.names)}" for alias in spec.host_aliases]
    return {
        "/etc/resolv.conf": "".join(f"{line}\n" for line in resolver),
        "/etc/hosts": "".join(f"{line}\n" for line in hosts),
        "/etc/hostname": f"{spec.hostname}\n",
    }


def bind_mount(sandbox: Sandbox, mount: MountSpec) -> Bind:
    """The bind for one volume mount, its source made when missing."""
    if not mount.target.is_absolute():
        raise ContainerRuntimeError(f"pod {_name(sandbox)}: mount path {str(mount.target)!r} is not absolute")
    source, read_only = _source(sandbox, mount)
    if mount.sub_path:
        inside = source / mount.sub_path
        if not inside.resolve().is_relative_to(source.resolve()):
            raise ContainerRuntimeError(f"pod {_name(sandbox)}: subPath {mount.sub_path!r} leaves its volume")
        if not inside.exists():
            inside.mkdir(parents=True)
        source = inside
    return Bind(str(source), str(mount.target), read_only)


def _source(sandbox: Sandbox, mount: MountSpec) -> tuple[Path, bool]:
    match mount.source:
        case EmptyDirSource(volume, size_limit):
            return _empty_dir(sandbox.folder / "empty" / safe_name(volume, "volume"), size_limit), mount.read_only
        case FilesSource():
            return _write_files(sandbox, mount.source), True
        case HostPathSource(path):
            if not path.exists():
                raise ContainerRuntimeError(f"pod {_name(sandbox)}: hostPath {path} does not exist on the machine")
            return path, True


def _empty_dir(folder: Path, size_limit: int | None) -> Path:
    if not folder.exists():
        folder.mkdir(parents=True)
        if size_limit is not None:
            syscalls.mount("emptydir", str(folder), "tmpfs", syscalls.MS_NODEV, f"mode=777,size={size_limit}")
        folder.chmod(0o777)  # as kubelet makes it: any user of the pod may write
    return folder


def _write_files(sandbox: Sandbox, source: FilesSource) -> Path:
    folder = sandbox.folder / "files" / safe_name(source.volume, "volume")
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in source.files.items():
        path = folder / name
        if not path.resolve().is_relative_to(folder.resolve()):
            raise ContainerRuntimeError(f"pod {_name(sandbox)}: volume {source.volume}: {name!r} leaves its volume")
        path.parent.mkdir(parents=True, exist_ok=True)
        # A running container may have the file open: put a new one in its place.
        fresh = path.with_name(f".{path.name}.new")
        fresh.write_bytes(data)
        fresh.chmod(source.mode)
        fresh.replace(path)
    return folder


def _name(sandbox: Sandbox) -> str:
    return f"{sandbox.spec.namespace}/{sandbox.spec.name}"
