"""`grpc`: one call of grpc.health.v1.Health/Check over HTTP/2 without TLS, as kubelet does it.

Only what one call needs (RFC 9113, RFC 7541 without compression, gRPC's PROTOCOL-HTTP2): headers of the answer are not
decoded, because the health status is in its data.
"""

import asyncio
import struct
from typing import Final

from agents.probes.dial import Dialled
from agents.probes.spec import Grpc
from agents.probes.target import Result, Target, errored, failed, succeeded
from kubinet.errors import KubinetError
from kubinet.version import __version__

_PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY = 0, 1, 3, 4, 6, 7
END_STREAM, ACK, END_HEADERS, PADDED = 1, 1, 4, 8
_STREAM: Final = 1
_LIMIT: Final = 16384
"""Bytes of a frame (RFC 9113's default) and of the answer."""
_SERVING: Final = 1
_STATUS: Final = {0: "UNKNOWN", 1: "SERVING", 2: "NOT_SERVING", 3: "SERVICE_UNKNOWN"}


class GrpcError(KubinetError):
    """The server does not speak gRPC, or not about health."""


async def grpc_probe(target: Target, handler: Grpc, timeout: float) -> Result:
    """Ask within `timeout` seconds; SERVING is success."""
    try:
        address = target.endpoint("", handler.port)
    except KubinetError as error:
        return errored(str(error))
    where = f'"{address[0]}:{address[1]}"'
    try:
        async with asyncio.timeout(timeout), Dialled(target.namespace, address) as connection:
            connection.writer.write(call(f"{address[0]}:{address[1]}", handler.service))
            status = await _answer(connection.reader, connection.writer)
    except TimeoutError:
        return failed(f"timeout: failed to connect service {where} within {timeout:g}s: context deadline exceeded")
    except asyncio.IncompleteReadError:
        return failed(f"error: health rpc to service {where} failed: connection closed")
    except (OSError, GrpcError) as error:
        words = error.strerror if isinstance(error, OSError) else error
        return failed(f"error: health rpc to service {where} failed: {words}")
    if status != _SERVING:
        return failed(f'service unhealthy (responded with "{_STATUS.get(status, status)}")')
    return succeeded()


def call(authority: str, service: str) -> bytes:
    """All that the client sends: its settings, the request's headers and its message."""
    headers = b"\x83\x86" + b"".join(  # :method POST, :scheme http, of RFC 7541's static table
        name + _text(value)
        for name, value in (
            (b"\x04", "/grpc.health.v1.Health/Check"),  # :path
            (b"\x01", authority),  # :authority
            (b"\x00" + _text("te"), "trailers"),
            (b"\x0f\x10", "application/grpc"),  # content-type
            (b"\x0f\x2b", f"kube-probe/kubinet-{__version__}"),  # user-agent
        )
    )
    name = service.encode()
    message = b"\x0a" + _number(len(name)) + name if name else b""
    body = struct.pack("!BI", 0, len(message)) + message
    return (
        _PREFACE
        + frame(SETTINGS, 0, 0, b"")
        + frame(HEADERS, END_HEADERS, _STREAM, headers)
        + frame(DATA, END_STREAM, _STREAM, body)
    )


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """A frame (RFC 9113, section 4.1)."""
    return len(payload).to_bytes(3, "big") + struct.pack("!BBI", kind, flags, stream) + payload


def health_status(body: bytes) -> int:
    """The status in a gRPC message with a HealthCheckResponse; GrpcError where it is none."""
    if len(body) < 5 or body[0] != 0 or len(body) != 5 + int.from_bytes(body[1:5], "big"):
        raise GrpcError(
            "the answer has no health status: the server does not implement the grpc health protocol "
            "(grpc.health.v1.Health), or does not know the service"
        )
    message = body[5:]
    if not message:
        return 0  # protobuf leaves zeros out
    if len(message) != 2 or message[0] != 0x08:
        raise GrpcError("the answer is no HealthCheckResponse")
    return message[1]


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> int:
    body = b""
    while True:
        head = await reader.readexactly(9)
        kind, flags, stream = struct.unpack("!BBI", head[3:])
        size = int.from_bytes(head[:3], "big")
        if size > _LIMIT or len(body) > _LIMIT:
            raise GrpcError("the server does not speak HTTP/2")
        payload = await reader.readexactly(size)
        if kind in (SETTINGS, PING) and not flags & ACK:
            writer.write(frame(kind, ACK, 0, payload if kind == PING else b""))
        elif kind == GOAWAY or (kind == RST_STREAM and stream == _STREAM):
            raise GrpcError("the server refused the call")
        elif kind == DATA and stream == _STREAM:
            body += payload[1 : len(payload) - payload[0]] if flags & PADDED else payload
        if stream == _STREAM and kind in (DATA, HEADERS) and flags & END_STREAM:
            return health_status(body)


def _text(value: str) -> bytes:
    """A string literal without Huffman coding (RFC 7541, section 5.2)."""
    data = value.encode()
    if len(data) < 127:
        return bytes([len(data)]) + data
    return b"\x7f" + _number(len(data) - 127) + data


def _number(value: int) -> bytes:
    """Seven bits a byte, the lowest first: protobuf's and HPACK's form."""
    found = bytearray()
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    return bytes([*found, value])
