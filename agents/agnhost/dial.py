"""netexec's /dial: requests over HTTP, UDP or SCTP to another pod, from this one."""

import socket
from typing import Final
from urllib.parse import urljoin, urlsplit

from agents.agnhost import net
from agents.agnhost.web import Request, Response

_TIMEOUT: Final = 5.0
_REDIRECTS: Final = 10
_MOVED: Final = (301, 302, 303, 307, 308)


def dial(request: Request) -> Response:
    """Parameters host, port, request, protocol (http, udp, sctp), tries; answer: JSON of `responses` and `errors`."""
    host, port = request.query.get("host", ""), request.query.get("port", "")
    text, protocol = request.query.get("request", ""), request.query.get("protocol", "").lower() or "http"
    tries = request.query.get("tries", "") or "1"
    if not tries.isdecimal():
        return Response(f'tries parameter is invalid. "{tries}": invalid syntax\n', 400)
    if not text:
        return Response("request parameter not specified.\n", 400)
    if protocol not in ("http", "udp", "sctp"):
        return Response(f"unsupported protocol. {request.query['protocol']}\n", 400)
    try:
        family, address = net.resolve(host, int(port))
    except (OSError, ValueError) as error:
        return Response(f"host and/or port param are invalid. {error}\n", 400)
    responses: list[str] = []
    errors: list[str] = []
    last = ""
    for _ in range(int(tries)):
        last = ""
        try:
            last = _http(f"http://{net.join_host_port(address)}/{text}") if protocol == "http" else ""
            last = last if protocol == "http" else _message(family, address, protocol, text)
            responses.append(last)
        except OSError as error:
            errors.append(_explain(error, protocol, net.join_host_port(address)))
    output = {"responses": responses} if last else {}
    if errors:
        output["errors"] = errors
    return Response(json_text(output))


def json_text(value: object) -> str:
    """JSON as Go writes it: sorted keys, no spaces."""
    import json  # noqa: PLC0415 - start-up time

    return json.dumps(value, separators=(",", ":"), sort_keys=True, ensure_ascii=False)


def _message(family: int, address: tuple[object, ...], protocol: str, text: str) -> str:
    with net.new_socket(family, protocol) as client:
        client.settimeout(_TIMEOUT)
        client.connect(address)
        client.sendall(text.encode())
        data = client.recv(2048)
    if not data:
        raise ConnectionResetError("no data")
    return data.decode("utf-8", "replace")


def _http(url: str) -> str:
    """The body, redirects followed. HTTP/1.0: the answer ends with the connection, and is not chunked."""
    for _ in range(_REDIRECTS):
        parts = urlsplit(url)
        family, address = net.resolve(parts.hostname or "", parts.port or 80)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        with net.new_socket(family, "tcp") as client:
            client.settimeout(_TIMEOUT)
            client.connect(address)
            client.sendall(f"GET {target} HTTP/1.0\r\nHost: {parts.netloc}\r\nUser-Agent: agnhost\r\n\r\n".encode())
            head, _, body = _read_all(client).partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        words = first.split(" ")
        if len(words) < 2 or not words[1].isdecimal():
            raise ConnectionError(f"malformed HTTP response {first!r}")
        location = next((line.partition(":")[2].strip() for line in lines if line.lower().startswith("location:")), "")
        if int(words[1]) not in _MOVED or not location:
            return body.decode("utf-8", "replace")
        url = urljoin(url, location)
    raise ConnectionError(f"stopped after {_REDIRECTS} redirects")


def _read_all(client: socket.socket) -> bytes:
    parts = []
    while part := client.recv(65536):
        parts.append(part)
    return b"".join(parts)


def _explain(error: OSError, protocol: str, target: str) -> str:
    reason = "i/o timeout" if isinstance(error, TimeoutError) else (error.strerror or str(error)).lower()
    if protocol == "http":
        return f'Get "http://{target}": {reason}'
    return f"reading from {protocol} connection failed. err:'{target}: {reason}'"
