"""JSON-RPC to a node's Open vSwitch: OVSDB transactions with a live copy of some columns (RFC 7047), and appctl.

Built on Open vSwitch's own `ovs.jsonrpc` and `ovs.stream`. One session belongs to one thread.
"""

import errno
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Self, TypeAlias

from kubinet.errors import DeadlineError, KubinetError

# ovs.poller imports eventlet where it is installed and does without where it is not: without, because eventlet takes
# 60 ms, warns at every fork and puts a DNS library of its own in the place of dnspython.
_eventlet = sys.modules.get("eventlet")
sys.modules["eventlet"] = None  # type: ignore[assignment]
try:
    from ovs import jsonrpc, poller, stream
finally:
    if _eventlet is None:
        del sys.modules["eventlet"]
    else:
        sys.modules["eventlet"] = _eventlet

Operation: TypeAlias = dict[str, Any]
Row: TypeAlias = dict[str, Any]

MONITORED: Final[Mapping[str, tuple[str, ...]]] = {
    "Open_vSwitch": ("cur_cfg", "next_cfg"),
    "Bridge": ("name", "ports", "controller"),
    "Controller": ("target",),
    "Port": ("name",),
    "Interface": ("name", "ofport", "error", "external_ids"),
}
_DATABASE: Final = "Open_vSwitch"


class OvsError(KubinetError):
    """Open vSwitch refused a request, or its connection broke."""


class _Connection:
    """One JSON-RPC connection over a unix socket; waits end at a deadline."""

    def __init__(self, path: Path, timeout: float) -> None:
        self.path = path
        self._timeout = timeout
        number, opened = stream.Stream.open_block(stream.Stream.open(f"unix:{path}"), round(timeout * 1000))
        if number:
            raise OvsError(f"{path}: {os.strerror(number)}; is the node's Open vSwitch running?")
        self._rpc = jsonrpc.Connection(opened)

    def call(self, method: str, parameters: Sequence[object], notified: Callable[[str, Any], None]) -> Any:
        """The result of one request; notifications that come before it go to `notified`."""
        request = jsonrpc.Message.create_request(method, list(parameters))
        number = self._rpc.send(request)
        if number:
            raise OvsError(f"{self.path}: {method}: {os.strerror(number)}")
        deadline = time.monotonic() + self._timeout
        while True:
            message = self.receive(deadline)
            if message is None:
                raise DeadlineError(f"{self.path}: {method}: no answer in {self._timeout:g} s")
            if message.type == jsonrpc.Message.T_NOTIFY:
                notified(message.method, message.params)
            elif message.id == request.id:
                if message.error is not None:
                    raise OvsError(f"{self.path}: {method}: {str(message.error).strip()}")
                return message.result

    def receive(self, deadline: float) -> Any:
        """The next message that is no probe; None when the deadline (time.monotonic) passed."""
        while True:
            self._rpc.run()
            number, message = self._rpc.recv()
            if message is not None:
                if message.type == jsonrpc.Message.T_REQUEST and message.method == "echo":
                    self._rpc.send(jsonrpc.Message.create_reply(message.params, message.id))
                    continue
                return message
            if number != errno.EAGAIN:
                reason = "closed by the other side" if number == -1 else os.strerror(number)
                raise OvsError(f"{self.path}: connection lost: {reason}")
            left = deadline - time.monotonic()
            if left <= 0:
                return None
            waiting = poller.Poller()
            self._rpc.wait(waiting)
            self._rpc.recv_wait(waiting)
            waiting.timer_wait(max(1, round(left * 1000)))
            waiting.block()

    def close(self) -> None:
        self._rpc.close()


class Ovsdb:
    """A session with a node's ovsdb-server; `tables` mirrors the columns of `MONITORED` by row uuid."""

    def __init__(self, socket_path: Path, *, timeout: float = 30.0) -> None:
        """Connects and loads the mirror; OvsError when nobody listens."""
        self._connection = _Connection(socket_path, timeout)
        self._timeout = timeout
        self.tables: dict[str, dict[str, Row]] = {table: {} for table in MONITORED}
        wanted = {table: [{"columns": list(columns)}] for table, columns in MONITORED.items()}
        self._update(self._connection.call("monitor", [_DATABASE, None, wanted], self._notified))

    def transact(self, operations: Sequence[Operation]) -> list[Row]:
        """Carry out the operations as one transaction; OvsError names the refused one."""
        results: list[Row] = self._connection.call("transact", [_DATABASE, *operations], self._notified)
        for position, result in enumerate(results):
            if result and "error" in result:
                operation = operations[position] if position < len(operations) else "commit"
                details = result.get("details", "")
                raise OvsError(f"{self._connection.path}: {result['error']}: {details} (operation {operation})")
        return results

    def configure(self, operations: Sequence[Operation]) -> None:
        """One transaction; returns when ovs-vswitchd has put it into practice. DeadlineError when it does not."""
        bump: list[Operation] = [
            {"op": "mutate", "table": "Open_vSwitch", "where": [], "mutations": [["next_cfg", "+=", 1]]},
            {"op": "select", "table": "Open_vSwitch", "where": [], "columns": ["next_cfg"]},
        ]
        results = self.transact([*operations, *bump])
        self.wait_configured(results[len(operations) + 1]["rows"][0]["next_cfg"])

    def wait_configured(self, wanted: int | None = None) -> None:
        """Wait until ovs-vswitchd has realised configuration number `wanted` (None: the newest)."""
        target = self._root()["next_cfg"] if wanted is None else wanted
        what = f"ovs-vswitchd to realise configuration {target}"
        self.wait_for(lambda: bool(self._root()["cur_cfg"] >= target), what)

    def wait_for(self, condition: Callable[[], bool], what: str) -> None:
        """Take in changes until `condition` holds; DeadlineError says `what` did not happen."""
        deadline = time.monotonic() + self._timeout
        while not condition():
            message = self._connection.receive(deadline)
            if message is None:
                raise DeadlineError(f"{self._connection.path}: waited {self._timeout:g} s for {what}")
            self._notified(message.method, message.params)

    def by_name(self, table: str) -> dict[str, tuple[str, Row]]:
        """The mirrored rows of a table by their name: (uuid, row)."""
        return {row["name"]: (uuid, row) for uuid, row in self.tables[table].items()}

    def refresh(self) -> None:
        """Take in the changes that have arrived, without waiting."""
        while (message := self._connection.receive(0.0)) is not None:
            self._notified(message.method, message.params)

    def close(self) -> None:
        """End the session."""
        self._connection.close()

    def _root(self) -> Row:
        return next(iter(self.tables["Open_vSwitch"].values()), {"cur_cfg": -1, "next_cfg": 0})

    def _notified(self, method: str, parameters: Any) -> None:
        if method == "update":
            self._update(parameters[1])

    def _update(self, changes: Mapping[str, Mapping[str, Mapping[str, Row]]]) -> None:
        for table, rows in changes.items():
            for uuid, change in rows.items():
                if "new" in change:
                    self.tables[table].setdefault(uuid, {}).update(change["new"])
                else:
                    self.tables[table].pop(uuid, None)


class Appctl:
    """ovs-appctl without a process: commands to a daemon's control socket; a context manager."""

    def __init__(self, socket_path: Path, *, timeout: float = 10.0) -> None:
        self._connection = _Connection(socket_path, timeout)

    def __call__(self, command: str, *arguments: str) -> str:
        """The command's output; OvsError with its message when it fails."""
        answer: str = self._connection.call(command, arguments, lambda *_: None)
        return answer

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()
