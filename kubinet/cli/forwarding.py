"""`kubinet port-forward`: local ports whose connections end in a pod."""

import contextlib
import selectors
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import typer

from kubinet.cli.podof import is_ready
from kubinet.errors import KubinetError, UsageError

if TYPE_CHECKING:
    from kubinet.client import Client
    from kubinet.streams import PortConnection

Object = Mapping[str, Any]
_BLOCK = 64 * 1024


@dataclass(frozen=True, slots=True)
class Forward:
    """`[LOCAL:]REMOTE`: 0 lets the kernel choose the local port; the remote one may be a name."""

    local: int | None
    """None: the same number as the remote port's."""
    remote: str


def parse(text: str) -> Forward:
    """What an argument means; UsageError for what is no port."""
    left, colon, right = text.rpartition(":")
    numbers = [part for part in (left, right) if part.isdecimal()]
    numbers_wrong = any(int(number) > 65535 for number in numbers) or right == "0"
    if not right or (left and not left.isdecimal()) or numbers_wrong:
        raise UsageError(f"{text!r}: write LOCAL:REMOTE, :REMOTE or REMOTE; numbers up to 65535, REMOTE may be a name")
    return Forward(None if not colon else int(left or 0), right)


def resolve(
    client: "Client", plural: str, name: str, namespace: str, wanted: Sequence[Forward]
) -> tuple[str, list[tuple[int, int]]]:
    """The pod's name, and (local, remote) numbers; a service's ports become those of one of its ready pods."""
    if plural == "pods":
        pod = client.get("pods", name, namespace)
        return name, [_numbers(entry, pod_port(pod, entry.remote)) for entry in wanted]
    if plural != "services":
        raise UsageError(f"{plural}/{name}: port-forward needs a pod or a service")
    service = client.get("services", name, namespace)
    selector = service["spec"].get("selector") or {}
    if not selector:
        raise KubinetError(f"service '{name}' selects no pods")
    labels = ",".join(f"{key}={value}" for key, value in selector.items())
    pods = [pod for pod in client.list("pods", namespace, label_selector=labels)["items"] if is_ready(pod)]
    if not pods:
        raise KubinetError(f"service '{name}' has no pod that is ready; `kubinet get pods -l {labels}` shows them")
    found = [_numbers(entry, *service_port(service, pods[0], entry.remote)) for entry in wanted]
    return str(pods[0]["metadata"]["name"]), found


def _numbers(entry: Forward, remote: int, same: int | None = None) -> tuple[int, int]:
    return (entry.local if entry.local is not None else same or remote), remote


def pod_port(pod: Object, port: str) -> int:
    """The number of a pod's port that is given by number or name."""
    if port.isdecimal():
        return int(port)
    for container in pod["spec"]["containers"]:
        for declared in container.get("ports") or ():
            if declared.get("name") == port:
                return int(declared["containerPort"])
    raise UsageError(f"pod '{pod['metadata']['name']}' has no port named {port!r}")


def service_port(service: Object, pod: Object, port: str) -> tuple[int, int]:
    """(the pod's port, the service's port) for a service's port that is given by number or name."""
    ports = service["spec"].get("ports") or ()
    for declared in ports:
        if port in (str(declared["port"]), declared.get("name")):
            return pod_port(pod, str(declared["targetPort"])), int(declared["port"])
    named = ", ".join(str(declared["port"]) for declared in ports)
    raise UsageError(f"service '{service['metadata']['name']}' has no port {port}; its ports: {named}")


def run(client: "Client", namespace: str, pod: str, ports: Sequence[tuple[int, int]], address: str) -> int:
    """Listen until interrupted."""
    with contextlib.ExitStack() as stack, selectors.DefaultSelector() as waiting:
        for local, remote in ports:
            listener = stack.enter_context(_listen(address, local))
            waiting.register(listener, selectors.EVENT_READ, remote)
            typer.echo(f"Forwarding from {address}:{listener.getsockname()[1]} -> {remote}")
        with contextlib.suppress(KeyboardInterrupt):
            for connection, remote in _accepted(waiting):
                typer.echo(f"Handling connection for {connection.getsockname()[1]}")
                arguments = (client.clone(), namespace, pod, remote, connection)
                threading.Thread(target=_pass_on, args=arguments, daemon=True).start()
    return 0


def _listen(address: str, port: int) -> socket.socket:
    try:
        return socket.create_server((address, port))
    except OSError as error:
        raise KubinetError(f"{address}:{port}: {error.strerror}; choose another local port, or :REMOTE") from error


def _accepted(waiting: selectors.BaseSelector) -> Iterator[tuple[socket.socket, int]]:
    while True:
        for key, _ in waiting.select():
            assert isinstance(key.fileobj, socket.socket)
            yield key.fileobj.accept()[0], key.data


def _pass_on(client: "Client", namespace: str, pod: str, port: int, local: socket.socket) -> None:
    """Copy both ways until the pod, or the local program, is done."""
    from kubinet.streams import open_port

    with local:
        try:
            remote = open_port(client, namespace, pod, port)
        except KubinetError as error:
            typer.echo(f"Error: {error}", err=True)
            return
        sender = threading.Thread(target=_send, args=(local, remote), daemon=True)
        sender.start()
        try:
            for data in remote.received():
                local.sendall(data)
        except KubinetError as error:
            typer.echo(f"Error: port {port} of pod {namespace}/{pod}: {error}", err=True)
        except OSError:
            pass  # the local program reads no more
        finally:
            remote.close()
            with contextlib.suppress(OSError):
                local.shutdown(socket.SHUT_RDWR)  # wakes the sender
            sender.join()


def _send(local: socket.socket, remote: "PortConnection") -> None:
    try:
        while data := local.recv(_BLOCK):
            remote.send(data)
        remote.close_input()
    except OSError:
        return  # one of the two sides is gone; the receiver says so
    except Exception as error:
        if not type(error).__module__.startswith("websocket"):
            raise
