"""`/health` and `/ready` over HTTP, on the ports that CoreDNS has them (8080, 8181)."""

import asyncio
from collections.abc import Callable

HEALTH_PORT = 8080
READY_PORT = 8181
_REQUEST_SECONDS = 5.0
Check = Callable[[], str]
"""What is missing; empty: all is well."""


async def serve(address: str, port: int, path: str, check: Check) -> asyncio.Server:
    """Answer GET of `path` with 200, or 503 and the reason; other paths with 404."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_REQUEST_SECONDS):
                head = await reader.readuntil(b"\r\n\r\n")
            asked = head.split(b" ", 2)[1].partition(b"?")[0].decode("ascii", "replace")
            missing = check()
            if asked != path:
                status, text = "404 Not Found", "not found"
            elif missing:
                status, text = "503 Service Unavailable", missing
            else:
                status, text = "200 OK", "OK"
            writer.write(
                f"HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\n"
                f"Content-Length: {len(text)}\r\nConnection: close\r\n\r\n{text}".encode()
            )
            await writer.drain()
        except (OSError, EOFError, TimeoutError, IndexError, asyncio.LimitOverrunError):
            pass  # whoever asks wrongly or goes away gets no answer
        finally:
            writer.close()

    return await asyncio.start_server(answer, address, port)
