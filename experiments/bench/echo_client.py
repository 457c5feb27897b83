"""Runs in a pod: round trips of one byte over one TCP connection; prints their times in milliseconds as JSON.

Also the server, with `serve PORT`. Policies speak of TCP, UDP and SCTP, so a ping says nothing about them.
"""

import json
import socket
import sys
import time


def serve(port: int) -> None:
    """Send back what comes, one connection after the other."""
    with socket.create_server(("", port)) as server:
        print("listening", flush=True)
        while True:
            with server.accept()[0] as connection:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                while data := connection.recv(4096):
                    connection.sendall(data)


def measure(address: str, port: int, count: int, warmup: int) -> list[float]:
    """Milliseconds of each of `count` round trips, after `warmup` that are thrown away."""
    times = []
    with socket.create_connection((address, port), 10) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(warmup + count):
            began = time.monotonic_ns()
            connection.sendall(b"x")
            if not connection.recv(1):
                raise SystemExit(f"{address}:{port} closed the connection")
            times.append((time.monotonic_ns() - began) / 1e6)
    return times[warmup:]


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(int(sys.argv[2]))
    else:
        print(json.dumps(measure(sys.argv[1], *map(int, sys.argv[2:5]))))
