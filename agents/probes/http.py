"""`httpGet`: one GET over HTTP/1.1, redirects on the same host followed, certificates not verified.

The whole answer is read up to 10 KiB, so that servers see a client that listens to the end.
"""

import asyncio
import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final
from urllib.parse import urljoin, urlsplit

from agents.probes.dial import Dialled
from agents.probes.spec import HttpGet
from agents.probes.target import OUTPUT_LIMIT, Result, Target, address_of, errored, failed, succeeded
from kubinet.errors import KubinetError
from kubinet.version import __version__

_REDIRECTS: Final = 10
_AWAITING: Final = "context deadline exceeded (Client.Timeout exceeded while awaiting headers)"


class MalformedAnswerError(KubinetError):
    """The server does not speak HTTP."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server said."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes


async def http_probe(target: Target, get: HttpGet, timeout: float) -> Result:
    """Run the check within `timeout` seconds; statuses 200 to 399 are success."""
    try:
        url = url_of(target, get)
    except KubinetError as error:
        return errored(str(error))
    first = url
    try:
        async with asyncio.timeout(timeout):
            for _ in range(_REDIRECTS):
                answer = await fetch(target.namespace, url, request_headers(get, "kube-probe"))
                following = redirect(url, answer)
                if following is None or urlsplit(following).hostname != urlsplit(first).hostname:
                    return verdict(answer)
                url = following
    except TimeoutError:
        return failed(f'Get "{url}": {_AWAITING}')
    except (OSError, KubinetError) as error:
        return failed(f'Get "{url}": {_words(error)}')
    return failed(f'Get "{url}": stopped after {_REDIRECTS} redirects')


async def http_hook(target: Target, get: HttpGet) -> Result:
    """Run a life-cycle hook: any answer is success, as upstream. Bounded by the caller."""
    try:
        url = url_of(target, get)
        await fetch(target.namespace, url, request_headers(get, "kube-lifecycle"))
    except (OSError, KubinetError) as error:
        return failed(_words(error))
    return succeeded()


def url_of(target: Target, get: HttpGet) -> str:
    """The address asked; PortNameError, HostNameError."""
    _, port = target.endpoint("", get.port)
    host = get.host or str(target.address)
    address_of(host)
    path = get.path if get.path.startswith("/") else f"/{get.path}"
    return f"{get.scheme.lower()}://{host}:{port}{path}"


def request_headers(get: HttpGet, agent: str) -> tuple[tuple[str, str], ...]:
    """The handler's headers and kubelet's own; an empty User-Agent or Accept leaves that one out."""
    given = {name.lower() for name, _ in get.headers}
    own = (("User-Agent", f"{agent}/kubinet-{__version__}"), ("Accept", "*/*"))
    default = tuple((name, value) for name, value in own if name.lower() not in given)
    kept = tuple((n, v) for n, v in get.headers if v or n.lower() not in ("user-agent", "accept"))
    return (*default, *kept)


def verdict(answer: Answer) -> Result:
    """2xx and 3xx are success; a redirect that was not followed is told."""
    if not 200 <= answer.status < 400:
        return failed(f"HTTP probe failed with statuscode: {answer.status}")
    body = answer.body.decode(errors="replace")
    if answer.status >= 300:
        warning = f"Probe terminated redirects, Response body: {body}"
        return Result(succeeded().outcome, warning, warning=True)
    return succeeded(body)


def redirect(url: str, answer: Answer) -> str | None:
    """Where an answer sends its client, if anywhere (RFC 9110, section 15.4)."""
    location = answer.headers.get("location")
    if answer.status not in (301, 302, 303, 307, 308) or not location:
        return None
    return urljoin(url, location)


async def fetch(netns: str, url: str, headers: tuple[tuple[str, str], ...]) -> Answer:
    """GET `url` with a connection of its own. OSError, MalformedAnswerError."""
    parts = urlsplit(url)
    tls = parts.scheme == "https"
    address = (address_of(parts.hostname or ""), parts.port or (443 if tls else 80))
    async with Dialled(netns, address, tls=tls) as connection:
        connection.writer.write(request(url, headers))
        await connection.writer.drain()
        try:
            return await _read(connection.reader)
        except asyncio.IncompleteReadError:
            raise MalformedAnswerError("EOF") from None
        except asyncio.LimitOverrunError:
            raise MalformedAnswerError("net/http: server response headers exceeded the limit of 20 KiB") from None


def request(url: str, headers: tuple[tuple[str, str], ...]) -> bytes:
    """The request's bytes."""
    parts = urlsplit(url)
    host = next((value for name, value in headers if name.lower() == "host"), parts.netloc)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    lines = [f"GET {target} HTTP/1.1", f"Host: {host}"]
    lines += [f"{name}: {value}" for name, value in headers if name.lower() != "host"]
    return "\r\n".join([*lines, "Connection: close", "", ""]).encode("latin-1", "replace")


def parse_head(head: bytes) -> tuple[int, dict[str, str]]:
    """Status and headers; MalformedAnswerError."""
    first, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
    words = first.split(" ", 2)
    if not words[0].startswith("HTTP/") or len(words) < 2 or not (words[1].isdecimal() and len(words[1]) == 3):
        raise MalformedAnswerError(f"net/http: HTTP/1.x transport connection broken: malformed HTTP response {first!r}")
    pairs = (line.partition(":") for line in lines)
    return int(words[1]), {name.strip().lower(): value.strip() for name, _, value in pairs}


async def _read(reader: asyncio.StreamReader) -> Answer:
    status, headers = parse_head(await reader.readuntil(b"\r\n\r\n"))
    while HTTPStatus.CONTINUE <= status < HTTPStatus.OK and status != HTTPStatus.SWITCHING_PROTOCOLS:
        status, headers = parse_head(await reader.readuntil(b"\r\n\r\n"))  # 1xx: the answer itself follows
    if status in (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED, HTTPStatus.SWITCHING_PROTOCOLS):
        return Answer(status, headers, b"")
    chunked = "chunked" in headers.get("transfer-encoding", "").lower()
    length = headers.get("content-length", "")
    wanted = min(int(length), OUTPUT_LIMIT) if length.isdecimal() and not chunked else OUTPUT_LIMIT
    body = b""
    while len(body) < wanted and not (chunked and body.endswith(b"0\r\n\r\n")):
        piece = await reader.read(wanted - len(body))
        if not piece:
            break
        body += piece
    return Answer(status, headers, body)


def _words(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return f"tls: {error.reason or error}"
    if isinstance(error, OSError) and error.errno:
        text = str(error.strerror)
        # What dial() has not named is of the connection afterwards.
        return text if text.startswith("dial") else f"read: {os.strerror(error.errno).lower()}"
    return str(error)
