"""Connecting to pods from the API's process."""

import asyncio
import os
import socket
from pathlib import Path
from typing import Final, Protocol

from kubinet.errors import KubinetError
from kubinet.netns import namespace

CONNECT_SECONDS: Final = 10.0
_OWN: Final = Path("/proc/self/ns/net")


class Namespaces(Protocol):
    """Who knows pods' network namespaces (`kubinet.cri.RuntimeClient`)."""

    def network_namespace(self, pod_uid: str) -> Path:
        """The pod's network namespace; KubinetError where it has none."""


class DialError(KubinetError):
    """Nobody answers at the pod's port."""


def socket_in(path: Path) -> socket.socket:
    """A TCP socket of another network namespace; the calling thread itself is there for a moment."""
    if os.path.samestat(path.stat(), _OWN.stat()):
        return socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    with namespace(path):
        return socket.socket(socket.AF_INET, socket.SOCK_STREAM)


class Dialer:
    """Connects to pods' own loopback, as container runtimes do to forward a port: no policy, no link is between."""

    def __init__(self, namespaces: Namespaces) -> None:
        self._namespaces = namespaces

    async def connect(self, pod_uid: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection to a port of the pod; DialError says why there is none."""
        made = None
        try:
            made = await asyncio.to_thread(self._socket, pod_uid)
            made.setblocking(False)
            loop = asyncio.get_running_loop()
            await asyncio.wait_for(loop.sock_connect(made, ("127.0.0.1", port)), CONNECT_SECONDS)
            return await asyncio.open_connection(sock=made)
        except (OSError, TimeoutError) as error:
            if made is not None:
                made.close()
            reason = os.strerror(error.errno).lower() if isinstance(error, OSError) and error.errno else "timed out"
            raise DialError(f"failed to connect to localhost:{port} inside the pod: {reason}") from error

    def _socket(self, pod_uid: str) -> socket.socket:
        return socket_in(self._namespaces.network_namespace(pod_uid))
