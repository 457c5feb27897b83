"""Commands in pods' containers and connections to their ports: WebSocket subprotocol `v5.channel.k8s.io` (KEP-4006).

Each binary message begins with its channel number. A command: 0 stdin, 1 stdout, 2 stderr, 3 the closing Status,
4 the terminal size. A port: 0 data, 1 error. Both: 255 "this channel ends".
"""

import json
import ssl
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

import websocket

from kubinet.client import Client
from kubinet.errors import ApiError, DeadlineError, KubinetError

PROTOCOL = "v5.channel.k8s.io"
STDIN, STDOUT, STDERR, STATUS, RESIZE, CLOSE = 0, 1, 2, 3, 4, 255


@dataclass(frozen=True, slots=True)
class ExecResult:
    """How a command ended and what it wrote."""

    exit_code: int
    stdout: bytes
    stderr: bytes

    @property
    def text(self) -> str:
        """Standard output as text."""
        return self.stdout.decode(errors="replace")


class ExecSession:
    """An open exec: send to its standard input, iterate over what it writes, then read `exit_code`."""

    def __init__(self, connection: websocket.WebSocket) -> None:
        self._connection = connection
        self.exit_code: int | None = None

    def send(self, data: bytes) -> None:
        """Write to standard input."""
        self._connection.send_binary(bytes([STDIN]) + data)

    def close_stdin(self) -> None:
        """End standard input."""
        self._connection.send_binary(bytes([CLOSE, STDIN]))

    def resize(self, columns: int, rows: int) -> None:
        """Tell the terminal's new size."""
        size = json.dumps({"Width": columns, "Height": rows})
        self._connection.send_binary(bytes([RESIZE]) + size.encode())

    def set_timeout(self, seconds: float | None) -> None:
        """The longest silence before DeadlineError; None for no limit."""
        self._connection.settimeout(seconds)

    def output(self) -> Iterator[tuple[int, bytes]]:
        """(STDOUT or STDERR, bytes) until the command has ended; then `exit_code` is set."""
        while self.exit_code is None:
            try:
                opcode, message = self._connection.recv_data()
            except websocket.WebSocketTimeoutException as error:
                raise DeadlineError("exec: the command was silent for longer than the time limit") from error
            except websocket.WebSocketException as error:
                raise KubinetError(f"exec: the API closed the connection before the command ended ({error})") from error
            if opcode == websocket.ABNF.OPCODE_CLOSE:
                raise KubinetError("exec: the API closed the connection before it said how the command ended")
            if opcode != websocket.ABNF.OPCODE_BINARY or not message:
                continue
            if message[0] in (STDOUT, STDERR):
                yield message[0], message[1:]
            elif message[0] == STATUS:
                self.exit_code = _exit_code(json.loads(message[1:]))

    def close(self) -> None:
        """Close the connection; a command that still runs is ended by the API."""
        self._connection.close()


def open_exec(
    client: Client,
    namespace: str,
    pod: str,
    argv: Sequence[str],
    *,
    container: str | None = None,
    stdin: bool = False,
    tty: bool = False,
    timeout: float | None = 30.0,
) -> ExecSession:
    """Start `argv` in the pod; ApiError where the API refuses (no such pod, container not running)."""
    query: list[tuple[str, str]] = [("command", word) for word in argv]
    flags = {"stdout": True, "stderr": not tty, "stdin": stdin, "tty": tty}
    query += [(name, "true") for name, wanted in flags.items() if wanted]
    if container is not None:
        query.append(("container", container))
    return ExecSession(_connect(client, namespace, pod, "exec", query, timeout))


def _connect(
    client: Client, namespace: str, pod: str, what: str, query: Sequence[tuple[str, str]], timeout: float | None
) -> websocket.WebSocket:
    url = client.url.replace("http", "ws", 1)
    address = f"{url}/api/v1/namespaces/{namespace}/pods/{pod}/{what}?{urlencode(query)}"
    tls = {"ca_certs": str(client.ca)} if client.ca else {"cert_reqs": ssl.CERT_REQUIRED}
    try:
        return websocket.create_connection(
            address,
            timeout=timeout,
            subprotocols=[PROTOCOL],
            header=[f"Authorization: Bearer {client.token}"],
            sslopt=tls,
            suppress_origin=True,
            http_no_proxy=["127.0.0.1", "localhost"],
        )
    except websocket.WebSocketBadStatusException as error:
        raise _refusal(error) from error
    except (OSError, websocket.WebSocketException) as error:
        raise KubinetError(f"pod '{namespace}/{pod}': {what} cannot reach the API at {client.url} ({error})") from error


class PortConnection:
    """One connection to a port of a pod; sending and receiving may be two threads' work."""

    _DATA, _ERROR = 0, 1

    def __init__(self, connection: websocket.WebSocket) -> None:
        self._connection = connection
        self._begun: set[int] = set()

    def send(self, data: bytes) -> None:
        """Bytes to the pod."""
        self._connection.send_binary(bytes([self._DATA]) + data)

    def close_input(self) -> None:
        """No more bytes to the pod; it may still answer."""
        self._connection.send_binary(bytes([CLOSE, self._DATA]))

    def received(self) -> Iterator[bytes]:
        """Bytes from the pod until it ends its side; KubinetError with the API's words when it cannot be reached."""
        while True:
            try:
                opcode, message = self._connection.recv_data()
            except (OSError, websocket.WebSocketException):
                return  # the API or our own side closed the connection
            if opcode == websocket.ABNF.OPCODE_CLOSE or (message and message[0] == CLOSE):
                return
            if opcode != websocket.ABNF.OPCODE_BINARY or not message:
                continue
            if message[0] not in self._begun:
                self._begun.add(message[0])  # each channel begins with the port's number
            elif message[0] == self._ERROR:
                raise KubinetError(message[1:].decode(errors="replace"))
            else:
                yield message[1:]

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def open_port(client: Client, namespace: str, pod: str, port: int, *, timeout: float | None = 30.0) -> PortConnection:
    """Connect to a port on the pod's loopback; ApiError where the API refuses (no such pod, it does not run)."""
    connection = _connect(client, namespace, pod, "portforward", [("ports", str(port))], timeout)
    connection.settimeout(None)
    return PortConnection(connection)


def run_in_pod(
    client: Client,
    namespace: str,
    pod: str,
    argv: Sequence[str],
    *,
    container: str | None = None,
    stdin: bytes | None = None,
    timeout: float | None = 60.0,
) -> ExecResult:
    """Run `argv` to its end and return what it wrote."""
    session = open_exec(client, namespace, pod, argv, container=container, stdin=stdin is not None, timeout=timeout)
    written: dict[int, bytearray] = {STDOUT: bytearray(), STDERR: bytearray()}
    try:
        if stdin is not None:
            session.send(stdin)
            session.close_stdin()
        for channel, data in session.output():
            written[channel] += data
    finally:
        session.close()
    exit_code = session.exit_code if session.exit_code is not None else 1
    return ExecResult(exit_code, bytes(written[STDOUT]), bytes(written[STDERR]))


def _exit_code(status: dict[str, object]) -> int:
    """The exit code in the closing Status; KubinetError where the command could not be run at all."""
    if status.get("status") == "Success":
        return 0
    details = status.get("details")
    causes = details.get("causes", []) if isinstance(details, dict) else []
    for cause in causes:
        if cause.get("reason") == "ExitCode":
            return int(cause["message"])
    raise KubinetError(f"exec: {status.get('message', 'failed')}")


def _refusal(error: websocket.WebSocketBadStatusException) -> ApiError:
    body = error.resp_body or b""
    try:
        status = json.loads(body)
        return ApiError(error.status_code, status.get("reason", ""), status["message"])
    except (ValueError, KeyError, TypeError):
        return ApiError(error.status_code, "", body.decode(errors="replace").strip() or str(error))
