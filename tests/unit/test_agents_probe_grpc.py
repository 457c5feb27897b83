"""gRPC probes: one health check over HTTP/2. What both sides say was compared with the library grpcio 1.85."""

import asyncio
import struct
from collections.abc import Callable
from contextlib import suppress
from ipaddress import IPv4Address

import pytest

from agents.events import Subject
from agents.probes.grpc import (
    ACK,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    PADDED,
    PING,
    SETTINGS,
    call,
    frame,
    grpc_probe,
)
from agents.probes.spec import Grpc, handler_of
from agents.probes.state import Outcome
from agents.probes.target import Result, Target
from kubinet.version import __version__

TRAILERS = frame(HEADERS, END_HEADERS | END_STREAM, 1, b"\x88")


def _message(status: bytes) -> bytes:
    return struct.pack("!BI", 0, len(status)) + status


def _probe(answer: bytes, service: str = "", timeout: float = 5.0) -> tuple[Result, bytes]:
    """The probe's result against a server that answers every call with these bytes, and what the server was sent."""
    heard = bytearray()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            heard.extend(await reader.readexactly(len(call(f"127.0.0.1:{port}", service))))
            writer.write(answer)
            while data := await reader.read(65536):
                heard.extend(data)
        except ConnectionResetError:
            pass  # the probe left bytes unread
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()
            served.set()

    async def run() -> Result:
        nonlocal port
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        subject = Subject("Pod", "default", "a")
        target = Target("n1", "/proc/self/ns/net", "u", "c", 0, IPv4Address("127.0.0.1"), subject)
        result = await grpc_probe(target, Grpc(port, service), timeout)
        await asyncio.wait_for(served.wait(), 5)
        server.close()
        return result

    port = 0
    served = asyncio.Event()
    return asyncio.run(run()), bytes(heard)


@pytest.mark.parametrize(
    ("answer", "outcome", "text"),
    [
        (frame(DATA, 0, 1, _message(b"\x08\x01")) + TRAILERS, Outcome.SUCCESS, ""),
        (frame(DATA, PADDED, 1, b"\x03" + _message(b"\x08\x01") + bytes(3)) + TRAILERS, Outcome.SUCCESS, ""),
        (frame(DATA, 0, 1, _message(b"\x08\x02")) + TRAILERS, Outcome.FAILURE, 'responded with "NOT_SERVING"'),
        (frame(DATA, 0, 1, _message(b"")) + TRAILERS, Outcome.FAILURE, 'responded with "UNKNOWN"'),
        (TRAILERS, Outcome.FAILURE, "does not implement the grpc health protocol"),
        (frame(GOAWAY, 0, 0, bytes(8)), Outcome.FAILURE, "the server refused the call"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", Outcome.FAILURE, "does not speak HTTP/2"),
    ],
)
def test_what_servers_answer(answer: bytes, outcome: Outcome, text: str) -> None:
    """SERVING is success, padded or not; everything else says what it was."""
    result, _ = _probe(frame(SETTINGS, 0, 0, b"") + answer if answer[:4] != b"HTTP" else answer)
    assert result.outcome is outcome
    assert text in result.text


def test_settings_and_pings_are_acknowledged() -> None:
    """As HTTP/2 asks for."""
    ping = frame(PING, 0, 0, b"12345678")
    answer = frame(SETTINGS, 0, 0, b"") + ping + frame(DATA, 0, 1, _message(b"\x08\x01")) + TRAILERS
    _, heard = _probe(answer)
    assert heard.endswith(frame(SETTINGS, ACK, 0, b"") + frame(PING, ACK, 0, b"12345678"))


def test_the_bytes_of_a_call() -> None:
    """Preface, settings, headers with RFC 7541's static names, and the message with the service's name."""
    agent = f"kube-probe/kubinet-{__version__}".encode()
    headers = b"".join((
        b"\x83\x86\x04\x1c/grpc.health.v1.Health/Check\x01\x0b10.0.0.1:80\x00\x02te\x08trailers",
        b"\x0f\x10\x10application/grpc\x0f\x2b", bytes([len(agent)]), agent,
    ))  # fmt: skip
    assert call("10.0.0.1:80", "live") == b"".join((
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", bytes.fromhex("000000040000000000"),
        len(headers).to_bytes(3, "big"), bytes.fromhex("010400000001"), headers,
        bytes.fromhex("00000b000100000001"), b"\x00\x00\x00\x00\x06\x0a\x04live",
    ))  # fmt: skip


def test_silence_is_a_failure() -> None:
    """A server that says nothing within the time."""
    result, _ = _probe(b"", timeout=0.1)
    assert result.outcome is Outcome.FAILURE
    assert "context deadline exceeded" in result.text


def test_the_handler_of_a_manifest() -> None:
    """Port, and the service where one is named."""
    read: Callable[..., object] = handler_of
    assert read({"grpc": {"port": 5050}}) == Grpc(5050)
    assert read({"grpc": {"port": 5050, "service": "live"}}) == Grpc(5050, "live")
