"""An SSH connection as `ssh HOST` would make it: by the user's configuration, keys, agent and known hosts."""

import getpass
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import asyncssh
from asyncssh.config import SSHClientConfig

from kubinet.errors import KubinetError

_CONFIGURATIONS: Final = ("~/.ssh/config", "/etc/ssh/ssh_config")
_USER_KNOWN: Final = ("~/.ssh/known_hosts", "~/.ssh/known_hosts2")
_GLOBAL_KNOWN: Final = ("/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2")
_KEEPALIVE_SECONDS: Final = 15.0


async def connect(target: str) -> Any:
    """A connection to `HOST` or `USER@HOST`; KubinetError with the remedy where there is none."""
    return await _connect(target, frozenset())


async def _connect(target: str, passed: frozenset[str], *, port: int | None = None, tunnel: Any = None) -> Any:
    """`passed`: the hosts that it is a jump host of; `tunnel`, which the connection then owns: by which it goes."""
    if tunnel is None:
        # asyncssh's own way to jump hosts would have none of these options, and may believe any host key.
        for jump in jump_hosts(target):
            if jump.target not in passed | {target}:
                tunnel = await _connect(jump.target, passed | {target}, port=jump.port, tunnel=tunnel)
    try:
        connection = await _attempt(target, {**connect_options(target), "tunnel": tunnel}, port)
    except BaseException:
        if tunnel is not None:
            tunnel.close()
        raise
    if tunnel is not None:
        connection.set_tunnel(tunnel)
    return connection


async def _attempt(target: str, options: dict[str, Any], port: int | None) -> Any:
    try:
        return await asyncssh.connect(**options, **({} if port is None else {"port": port}))
    except asyncssh.HostKeyNotVerifiable as error:
        raise KubinetError(
            f"host {target}: its host key is unknown or is not the known one ({error.reason}); connect with "
            f"`ssh {target}` once, compare the fingerprint, and accept it"
        ) from error
    except asyncssh.PermissionDenied as error:
        raise KubinetError(
            f"host {target}: permission denied ({error.reason}); `ssh -o BatchMode=yes {target} true` must work: give "
            f"the host your public key (ssh-copy-id {target}), and a key with a passphrase to ssh-agent (ssh-add)"
        ) from error
    except (OSError, ValueError, asyncssh.Error) as error:
        words = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise KubinetError(
            f"host {target}: no SSH connection ({words}); see whether `ssh {target} true` works: name, address and "
            "port may be set in ~/.ssh/config"
        ) from error


def connect_options(target: str) -> dict[str, Any]:
    """What `asyncssh.connect` is told.

    asyncssh reads the user's configuration only, and wants every file in it to exist; ssh does neither.
    """
    user, _, host = target.rpartition("@")
    files, config = _configuration(target)
    options: dict[str, Any] = {
        "host": host,
        "config": files,
        "known_hosts": _existing(
            [
                *_named(config.get("UserKnownHostsFile"), _USER_KNOWN),
                *_named(config.get("GlobalKnownHostsFile"), _GLOBAL_KNOWN),
            ]
        )
        or b"\n",  # None would be: any host; nothing would be: those of ~/.ssh/known_hosts
        "ignore_encrypted": True,
        "agent_forwarding": False,
        "request_pty": False,
        "x11_forwarding": False,
        "keepalive_interval": _KEEPALIVE_SECONDS,
    }
    if user:
        options["username"] = user
    if config.get("IdentityFile") is not None:
        options["client_keys"] = _existing(_named(config.get("IdentityFile"), ()))
    return options


@dataclass(frozen=True, slots=True)
class JumpHost:
    """One of `ProxyJump`."""

    target: str
    """`HOST` or `USER@HOST`."""
    port: int | None


def jump_hosts(target: str) -> list[JumpHost]:
    """What the configuration's `ProxyJump` says, the first one first; KubinetError where it is none."""
    value = str(_configuration(target)[1].get("ProxyJump") or "none")
    if value == "none":
        return []
    hosts = []
    for one in value.split(","):
        match = re.fullmatch(r"(?:ssh://)?((?:[^@\s]+@)?)(?:\[([^\]]+)\]|([^:@\s/]+))(?::(\d+))?", one.strip())
        if match is None:
            raise KubinetError(f"host {target}: ProxyJump {value} is not [USER@]HOST[:PORT],…")
        user, address, name, port = match.groups()
        hosts.append(JumpHost(user + (address or name), int(port) if port else None))
    return hosts


def _configuration(target: str) -> tuple[list[str], SSHClientConfig]:
    user, _, host = target.rpartition("@")
    files = [path for path in _existing(_CONFIGURATIONS) if os.access(path, os.R_OK)]
    return files, SSHClientConfig.load(None, files, False, False, False, getpass.getuser(), user or (), host, ())


def _named(value: object, default: Sequence[str]) -> Sequence[str]:
    return [str(one) for one in value] if isinstance(value, list | tuple) else default


def _existing(names: Sequence[str]) -> list[str]:
    paths = (Path(name).expanduser() for name in names)
    return [str(path) for path in paths if path.is_file()]
