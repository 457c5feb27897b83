"""Sockets as the servers and clients need them: both address families, SCTP where the kernel has it."""

import errno
import os
import socket
import sys
import threading
import time
from collections.abc import Callable
from typing import Final, NoReturn

Address = tuple[str, int]
IPPROTO_SCTP: Final = 132
"""IANA's number; Python names it only where its C library does."""

BACKLOG: Final = 1024


class NoSctpError(OSError):
    """The kernel has no SCTP."""

    def __init__(self) -> None:
        super().__init__(
            errno.EPROTONOSUPPORT, "SCTP is not supported by this kernel; load the module sctp (modprobe sctp)"
        )


def log(message: str) -> None:
    """One line on standard error, with the time."""
    sys.stderr.write(f"{time.strftime('%Y/%m/%d %H:%M:%S')} {message}\n")


def fatal(message: str) -> NoReturn:
    """Log and end the process with status 1."""
    log(message)
    sys.stderr.flush()
    os._exit(1)


def listen(port: int, kind: str, address: str = "") -> socket.socket:
    """A bound socket for `tcp`, `udp` or `sctp`, on all addresses of both families where there is IPv6."""
    if ":" in address:
        return _bind(socket.AF_INET6, address, port, kind)
    if address:
        return _bind(socket.AF_INET, address, port, kind)
    try:
        return _bind(socket.AF_INET6, "::", port, kind)
    except OSError as error:
        if error.errno not in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
            raise
        return _bind(socket.AF_INET, "0.0.0.0", port, kind)


def _bind(family: int, address: str, port: int, kind: str) -> socket.socket:
    bound = new_socket(family, kind)
    try:
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        if kind == "tcp":
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((address, port))
        if kind != "udp":
            bound.listen(BACKLOG)
    except OSError:
        bound.close()
        raise
    return bound


def new_socket(family: int, kind: str) -> socket.socket:
    """An unbound socket; NoSctpError when `sctp` is asked and missing."""
    if kind == "udp":
        return socket.socket(family, socket.SOCK_DGRAM)
    try:
        return socket.socket(family, socket.SOCK_STREAM, IPPROTO_SCTP if kind == "sctp" else 0)
    except OSError as error:
        if kind == "sctp" and error.errno in (errno.EPROTONOSUPPORT, errno.ESOCKTNOSUPPORT):
            raise NoSctpError from None
        raise


def split_host_port(text: str) -> Address:
    """`host:port` or `[v6]:port`; ValueError says what is missing."""
    host, colon, port = text.rpartition(":")
    if not colon:
        raise ValueError(f"address {text}: missing port in address")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ValueError(f"address {text}: too many colons in address")
    if not port.isdecimal() or int(port) > 65535:
        raise ValueError(f"address {text}: invalid port")
    return host, int(port)


def join_host_port(address: tuple[object, ...]) -> str:
    """`host:port`, IPv6 in brackets, an IPv4 address mapped into IPv6 as what it is."""
    host, port = str(address[0]), address[1]
    host = host.removeprefix("::ffff:") if "." in host else host
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def resolve(host: str, port: int) -> tuple[int, tuple[object, ...]]:
    """Address family and socket address of the first answer; socket.gaierror when there is none."""
    family, _, _, _, address = socket.getaddrinfo(host or "localhost", port, type=socket.SOCK_STREAM)[0]
    return family, address


def in_thread(work: Callable[..., object], *arguments: object) -> None:
    """Run in a thread that does not keep the process."""
    threading.Thread(target=work, args=arguments, daemon=True).start()


def serve_connections(listener: socket.socket, serve: Callable[[socket.socket, str], None]) -> None:
    """Accept for ever; a thread for each connection."""
    while True:
        try:
            connection, address = listener.accept()
        except OSError as error:
            if error.errno in (errno.EBADF, errno.EINVAL):
                return  # closed for shutdown
            log(f"accept: {error}")
            if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOMEM):
                time.sleep(0.05)  # until some connection ends: nothing tells when
            continue
        in_thread(serve, connection, join_host_port(address))


def hostname() -> str:
    """The pod's name."""
    return socket.gethostname()
