"""`pods/log`: the runtime's CRI log files as clients read them.

A line of a file is `<RFC3339Nano> stdout|stderr F|P text`; P marks a part of a longer line. The runtime keeps the older
part of a large log beside it as `<attempt>.log.1`.
"""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO, Final

from aiohttp import web

from controller.api import times
from controller.api.registry import POD
from controller.api.request import Request
from controller.api.status import Object, StatusError, bad_request
from controller.api.store import Change, Store
from controller.api.streams.containers import choose, status_of
from controller.api.streams.inotify import FolderWatch

_BLOCK: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class Options:
    """The parameters of a log request."""

    follow: bool = False
    previous: bool = False
    timestamps: bool = False
    tail: int | None = None
    limit: int | None = None
    """Bytes."""
    since: datetime | None = None


def parse_options(request: Request) -> Options:
    """From the query; 422-like mistakes are a 400 naming the parameter."""
    tail, limit, seconds = (request.number(name) for name in ("tailLines", "limitBytes", "sinceSeconds"))
    if tail is not None and tail < 0:
        raise bad_request(f"tailLines: Invalid value: {tail}: must be greater than or equal to 0")
    if limit is not None and limit < 1:
        raise bad_request(f"limitBytes: Invalid value: {limit}: must be greater than 0")
    since = None
    if seconds is not None:
        if seconds < 1:
            raise bad_request(f"sinceSeconds: Invalid value: {seconds}: must be greater than 0")
        since = datetime.now(UTC) - timedelta(seconds=seconds)
    elif text := request.query.get("sinceTime", ""):
        try:
            since = times.parse(text)
        except ValueError:
            raise bad_request(f"sinceTime: Invalid value: {text!r}: must be an RFC 3339 time") from None
    follow, previous, timestamps = (request.flag(name) for name in ("follow", "previous", "timestamps"))
    return Options(follow, previous, timestamps, tail, limit, since)


@dataclass(slots=True)
class Formatter:
    """File lines in, answer bytes out; keeps the state of a line that comes in parts."""

    options: Options
    sent: int = 0
    _at_start: bool = True
    _rest: bytes = field(default=b"")

    @property
    def full(self) -> bool:
        """Whether limitBytes is reached."""
        return self.options.limit is not None and self.sent >= self.options.limit

    def feed(self, block: bytes) -> bytes:
        """The answer for the whole lines in what was read so far."""
        lines = (self._rest + block).split(b"\n")
        self._rest = lines.pop()
        answer = b"".join(map(self._line, lines))
        if self.options.limit is not None:
            answer = answer[: self.options.limit - self.sent]
        self.sent += len(answer)
        return answer

    def _line(self, line: bytes) -> bytes:
        time, _, rest = line.partition(b" ")
        _stream, _, rest = rest.partition(b" ")
        tag, _, text = rest.partition(b" ")
        if self.options.since is not None and _earlier(time, self.options.since):
            return b""
        stamp = time + b" " if self.options.timestamps and self._at_start else b""
        self._at_start = tag != b"P"
        return stamp + text + (b"\n" if self._at_start else b"")


def _earlier(time: bytes, since: datetime) -> bool:
    try:
        return times.parse(time.decode()) < since
    except ValueError:
        return False


def tail_offset(file: BinaryIO, lines: int) -> int:
    """Where the last `lines` whole lines begin; reads from the end in blocks."""
    end = position = file.seek(0, 2)
    wanted = lines + 1  # the newline before the first of them
    while position > 0:
        start = max(0, position - _BLOCK)
        file.seek(start)
        block = file.read(position - start)
        if position == end and not block.endswith(b"\n"):
            wanted -= 1
        found = block.count(b"\n")
        if found >= wanted:
            cut = len(block)
            for _ in range(wanted):
                cut = block.rindex(b"\n", 0, cut)
            return start + cut + 1
        wanted -= found
        position = start
    return 0


def attempts(folder: Path) -> list[int]:
    """The container's runs that left a log, oldest first."""
    names = [path.name.removesuffix(".log") for path in folder.glob("*.log")] if folder.is_dir() else []
    return sorted(int(name) for name in names if name.isdigit())


def ended(pod: Object | None, container: str, attempt: int) -> bool:
    """Whether this run of the container writes no more, by the pod's status."""
    if pod is None or (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed"):
        return True
    status = status_of(pod, container)
    state = status.get("state") or {}
    if status.get("restartCount", 0) > attempt or "terminated" in state:
        return True
    return "running" not in state and "terminated" in (status.get("lastState") or {})


class Logs:
    """Answers `pods/log`."""

    def __init__(self, store: Store, state_dir: Path) -> None:
        self._store = store
        self._folder = state_dir / "pods"

    async def handle(self, request: Request) -> web.StreamResponse:
        """GET pods/NAME/log."""
        target = request.target
        stored = self._store.get(POD.key, target.namespace, target.name)
        if stored is None:
            raise StatusError(404, "NotFound", f'pods "{target.name}" not found')
        pod = stored.object
        container = choose(pod, request.query.get("container", ""))
        options = parse_options(request)
        folder = self._folder / pod["metadata"]["uid"] / container
        attempt = self._attempt(pod, container, folder, options)
        response = web.StreamResponse(headers={"Content-Type": "text/plain"})
        response.enable_chunked_encoding()
        await response.prepare(request.http)
        with contextlib.suppress(ConnectionError):  # the reader may leave
            await self._send(pod, container, folder, attempt, options, response)
        return response

    @staticmethod
    def _attempt(pod: Object, container: str, folder: Path, options: Options) -> int:
        known = attempts(folder)
        name = pod["metadata"]["name"]
        if options.previous:
            current = status_of(pod, container).get("restartCount", 0)
            earlier = [attempt for attempt in known if attempt < current]
            if not earlier:
                raise bad_request(f'previous terminated container "{container}" in pod "{name}" not found')
            return earlier[-1]
        if not known:
            waiting = (status_of(pod, container).get("state") or {}).get("waiting") or {}
            reason = waiting.get("reason") or "ContainerCreating"
            raise bad_request(f'container "{container}" in pod "{name}" is waiting to start: {reason}')
        return known[-1]

    async def _send(
        self, pod: Object, container: str, folder: Path, attempt: int, options: Options, response: web.StreamResponse
    ) -> None:
        formatter = Formatter(options)
        path = folder / f"{attempt}.log"
        older = folder / f"{attempt}.log.1"
        with path.open("rb") as file:
            if options.tail is not None:
                file.seek(tail_offset(file, options.tail))
            elif older.exists():
                with older.open("rb") as before:
                    await _copy(before, formatter, response)
            await _copy(file, formatter, response)
            if options.follow and not options.previous and not formatter.full:
                await self._follow(pod, container, attempt, file, path, formatter, response)

    async def _follow(
        self,
        pod: Object,
        container: str,
        attempt: int,
        file: BinaryIO,
        path: Path,
        formatter: Formatter,
        response: web.StreamResponse,
    ) -> None:
        key = (pod["metadata"]["namespace"], pod["metadata"]["name"])
        with FolderWatch(path.parent) as folder:

            def changed(change: Change) -> None:
                if change.key == key:
                    folder.wake.set()

            stop = self._store.listen(POD.key, changed)
            try:
                while not formatter.full:
                    folder.wake.clear()
                    stored = self._store.get(POD.key, *key)
                    same = stored is not None and stored.object["metadata"]["uid"] == pod["metadata"]["uid"]
                    over = ended(stored.object if stored is not None and same else None, container, attempt)
                    await _copy(file, formatter, response)
                    if path.exists() and path.stat().st_ino != _inode(file):
                        file.close()  # the log was rotated: what follows is in a new file
                        file = path.open("rb")
                        await _copy(file, formatter, response)
                    if over:
                        return
                    await folder.wake.wait()
            finally:
                stop()
                file.close()


def _inode(file: BinaryIO) -> int:
    return os.fstat(file.fileno()).st_ino


async def _copy(file: BinaryIO, formatter: Formatter, response: web.StreamResponse) -> None:
    for block in _blocks(file):
        if answer := formatter.feed(block):
            await response.write(answer)
        if formatter.full:
            return


def _blocks(file: BinaryIO) -> Iterator[bytes]:
    while block := file.read(_BLOCK):
        yield block
