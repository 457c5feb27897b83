"""`agnhost connect HOST:PORT`: exit 0 when a connection works, else 1 and one word that says why not.

UDP and SCTP count as working only when an answer to the data came back.
"""

import socket
import sys

from agents.agnhost import flags, net


def connect(arguments: list[str]) -> int:
    """Words: UNKNOWN, TIMEOUT, DNS, REFUSED, OTHER, as upstream's README lists them."""
    values, (target,) = flags.parse(
        arguments, {"timeout": 0.0, "protocol": "tcp", "udp-data": "hostname", "sctp-data": "hostname"}, positional=1
    )
    protocol = values["protocol"] or "tcp"
    if protocol not in ("tcp", "udp", "sctp"):
        return _fail(f"Unsupported protocol {protocol}")
    try:
        host, port = net.split_host_port(target)
    except ValueError as error:
        return _fail(f"UNKNOWN: {error}")
    try:
        family, address = net.resolve(host, port)
    except OSError as error:
        return _fail(f"DNS: lookup {host}: {error.strerror}")
    try:
        with net.new_socket(family, protocol) as client:
            client.settimeout(values["timeout"] or None)
            client.connect(address)
            if protocol != "tcp":
                return _ask(client, values[f"{protocol}-data"])
    except TimeoutError:
        return _fail("TIMEOUT")
    except ConnectionRefusedError:
        return _fail("REFUSED")
    except OSError as error:
        return _fail(f"OTHER: {error.strerror}")
    return 0


def _ask(client: socket.socket, data: str) -> int:
    client.sendall(f"{data}\n".encode())
    if not client.recv(1024):
        return _fail("OTHER: the server sent no data, so it may not have got the request")
    return 0


def _fail(message: str) -> int:
    sys.stderr.write(f"{message}\n")
    return 1
