"""An SSH connection as `ssh HOST` would make it: by the user's configuration, keys, agent and known hosts."""

import getpass
import os
from collections.abc import Sequence
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
    try:
        return await asyncssh.connect(**connect_options(target))
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
    files = [path for path in _existing(_CONFIGURATIONS) if os.access(path, os.R_OK)]
    config = SSHClientConfig.load(None, files, False, False, False, getpass.getuser(), user or (), host, ())
    options: dict[str, Any] = {
        "host": host,
        "config": files,
        "known_hosts": _existing(
            [
                *_named(config.get("UserKnownHostsFile"), _USER_KNOWN),
                *_named(config.get("GlobalKnownHostsFile"), _GLOBAL_KNOWN),
            ]
        )
        or b"",  # None would be: any host
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


def _named(value: object, default: Sequence[str]) -> Sequence[str]:
    return [str(one) for one in value] if isinstance(value, list | tuple) else default


def _existing(names: Sequence[str]) -> list[str]:
    paths = (Path(name).expanduser() for name in names)
    return [str(path) for path in paths if path.is_file()]
