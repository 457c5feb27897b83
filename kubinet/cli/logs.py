"""`kubinet logs`: one container's output, or several pods' together, each line with its origin if wanted."""

import sys
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from kubinet.errors import KubinetError, UsageError

if TYPE_CHECKING:
    from kubinet.client import Client

Object: TypeAlias = dict[str, Any]
DEFAULT_CONTAINER = "kubectl.kubernetes.io/default-container"


@dataclass(frozen=True, slots=True)
class LogOptions:
    """What part of a log to show."""

    follow: bool = False
    previous: bool = False
    timestamps: bool = False
    tail: int | None = None
    since: float | None = None
    """Seconds."""
    limit_bytes: int | None = None
    prefix: bool = False

    def parameters(self, container: str) -> dict[str, str]:
        """The request's query."""
        flags = {"follow": self.follow, "previous": self.previous, "timestamps": self.timestamps}
        numbers = {"tailLines": self.tail, "limitBytes": self.limit_bytes}
        query = {"container": container} | {key: "true" for key, value in flags.items() if value}
        if self.since is not None:
            query["sinceSeconds"] = str(max(1, round(self.since)))
        return query | {key: str(value) for key, value in numbers.items() if value is not None and value >= 0}


@dataclass(frozen=True, slots=True)
class Source:
    """One container of one pod."""

    namespace: str
    pod: str
    container: str

    @property
    def prefix(self) -> bytes:
        """What `--prefix` puts before each line."""
        return f"[pod/{self.pod}/{self.container}] ".encode()


def sources_of(pod: Object, container: str | None, *, every: bool) -> list[Source]:
    """The containers to read; UsageError names the pod's containers where `container` is none of them."""
    spec, metadata = pod["spec"], pod["metadata"]
    names = [one["name"] for one in spec.get("containers", ())]
    init_names = [one["name"] for one in spec.get("initContainers", ())]
    if every:
        chosen = init_names + names
    elif container is not None:
        if container not in init_names + names:
            known = ", ".join(init_names + names)
            raise UsageError(f"container {container!r} is not in pod '{metadata['name']}'; it has: {known}")
        chosen = [container]
    else:
        chosen = [default_container(pod)]
    return [Source(metadata.get("namespace", "default"), metadata["name"], name) for name in chosen]


def default_container(pod: Object) -> str:
    """The annotated or first container; says so on standard error where there are several, as kubectl does."""
    names = [str(one["name"]) for one in pod["spec"]["containers"]]
    annotated = (pod["metadata"].get("annotations") or {}).get(DEFAULT_CONTAINER)
    if annotated in names:
        return str(annotated)
    if len(names) > 1:
        print(f'Defaulted container "{names[0]}" out of: {", ".join(names)}', file=sys.stderr)
    return names[0]


def show(client: "Client", sources: Sequence[Source], options: LogOptions) -> int:
    """Write the logs to standard output, following several at the same time; the exit status."""
    if len(sources) == 1 or not options.follow:
        for source in sources:
            _copy(client, source, options, threading.Lock())
        return 0
    lock = threading.Lock()
    failures: list[str] = []

    def follow(source: Source) -> None:
        try:
            _copy(client.clone(), source, options, lock)
        except KubinetError as error:
            failures.append(str(error))

    threads = [threading.Thread(target=follow, args=(source,), daemon=True) for source in sources]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for text in failures:
        print(f"Error: {text}", file=sys.stderr)
    return int(bool(failures))


def _copy(client: "Client", source: Source, options: LogOptions, lock: threading.Lock) -> None:
    path = f"/api/v1/namespaces/{source.namespace}/pods/{source.pod}/log"
    parameters = options.parameters(source.container)
    prefix = source.prefix if options.prefix else b""
    out = sys.stdout.buffer
    with client.raw("GET", path, params=parameters, stream=True, timeout=(30.0, None)) as response:
        for line in whole_lines(response.iter_content(chunk_size=None)):
            with lock:
                out.write(prefix + line)
                if options.follow:
                    out.flush()
    with lock:
        out.flush()


def whole_lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The bytes again, cut after line breaks only, so that several logs never mix within a line."""
    rest = b""
    for chunk in chunks:
        head, newline, tail = chunk.rpartition(b"\n")
        if newline:
            yield from (line + b"\n" for line in (rest + head).split(b"\n"))
            rest = tail
        else:
            rest += tail
    if rest:
        yield rest
