"""The only module that names os-ken or Ryu: OpenFlow sessions, for a `Listener` that knows neither.

`KUBINET_FRAMEWORK` says which (`os_ken`, the default, or `ryu`). Both are used for the TCP sessions, the handshake and
the events; messages go in and out as bytes (`controller.openflow`).
"""

import importlib
import logging
import os
import socket
import threading
from collections.abc import Callable
from typing import Any, Final, Protocol, TypeAlias

from kubinet.errors import InvalidInputError, MissingCapabilityError

OPENFLOW_PORT: Final = 6653
"""IANA's port for OpenFlow."""

_Handler: TypeAlias = Callable[[Any, Any], None]

_LOG = logging.getLogger(__name__)
_VARIABLE: Final = "KUBINET_FRAMEWORK"
_CHUNK_BYTES: Final = 128 * 1024
# The framework gives one send at most five seconds; a busy switch needs a chance to drain.


class Switch(Protocol):
    """One connected bridge."""

    @property
    def id(self) -> int:
        """Its datapath id."""

    def send(self, data: bytes) -> bool:
        """Queue whole messages; False when the connection is gone."""


class Listener(Protocol):
    """Who hears of switches. Called by the framework's threads: return soon."""

    def connected(self, switch: Switch) -> None:
        """A bridge has finished its handshake."""

    def received(self, switch: Switch, data: bytes) -> None:
        """A bridge has answered: errors, bundle control, multipart replies."""

    def disconnected(self, switch: Switch) -> None:
        """The connection is gone."""


def choose(option: str | None) -> str:
    """The framework's name from an option, the environment or the default; prepares eventlet for Ryu.

    Call before anything starts threads.
    """
    name = option or os.environ.get(_VARIABLE) or "os_ken"
    name = {"os-ken": "os_ken"}.get(name, name)
    if name not in {"os_ken", "ryu"}:
        raise InvalidInputError(f"controller framework '{name}' is unknown; use 'os_ken' or 'ryu'")
    if name == "ryu":
        _prepare_eventlet()
    return name


def _prepare_eventlet() -> None:
    """Ryu 4.34 runs on eventlet and imports a name that today's eventlet no longer has."""
    eventlet = importlib.import_module("eventlet")
    eventlet.monkey_patch()
    vars(importlib.import_module("eventlet.wsgi")).setdefault("ALREADY_HANDLED", object())


class _Datapath:
    """A framework's datapath as a `Switch`."""

    def __init__(self, datapath: Any) -> None:
        self._datapath = datapath
        self.id = int(datapath.id)

    def send(self, data: bytes) -> bool:
        chunks = (data[start : start + _CHUNK_BYTES] for start in range(0, len(data), _CHUNK_BYTES))
        return all(self._datapath.send(chunk) for chunk in chunks)


def start(framework: str, listener: Listener, *, address: str = "0.0.0.0", port: int = OPENFLOW_PORT) -> int:
    """Listen for switches in threads of the framework; returns the port when connections are accepted.

    MissingCapabilityError when the framework is not installed; InvalidInputError when the port cannot be had.
    """
    try:
        hub = importlib.import_module(f"{framework}.lib.hub")
        if getattr(hub, "HUB_TYPE", "eventlet") == "native":
            _mend_native_hub(framework, hub)
        app_manager = importlib.import_module(f"{framework}.base.app_manager")
        ofp_handler = importlib.import_module(f"{framework}.controller.ofp_handler")
    except ImportError as error:
        raise MissingCapabilityError(
            f"controller framework '{framework}' cannot be loaded: {error}; install it or choose the other one with "
            f"{_VARIABLE}"
        ) from error
    listening = _listen(address, port)
    _serve_on(framework, hub, ofp_handler, listening)
    app = _app_class(framework, app_manager, listener)
    manager = app_manager.AppManager.get_instance()
    manager.applications_cls["kubinet"] = app
    manager.applications_cls["ofp_handler"] = ofp_handler.OFPHandler
    manager.instantiate_apps()
    return int(listening.getsockname()[1])


def _listen(address: str, port: int) -> socket.socket:
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((address, port))
        # All bridges of a cluster connect at once; the framework's own backlog is 50.
        listening.listen(1024)
    except OSError as error:
        listening.close()
        raise InvalidInputError(
            f"OpenFlow port {address}:{port} cannot be had: {error.strerror}; end the other controller first"
        ) from error
    return listening


def _serve_on(framework: str, hub: Any, ofp_handler: Any, listening: socket.socket) -> None:
    """Have the framework's handler serve a socket that listens already, so that `start` returns with a fact."""
    controller = importlib.import_module(f"{framework}.controller.controller")

    def accept_all() -> None:
        while True:
            connection, peer = listening.accept()
            hub.spawn(controller.datapath_connection_factory, connection, peer)

    ofp_handler.OpenFlowController = lambda: accept_all


def _app_class(framework: str, app_manager: Any, listener: Listener) -> type:
    ofp_event = importlib.import_module(f"{framework}.controller.ofp_event")
    handler = importlib.import_module(f"{framework}.controller.handler")
    ofproto = importlib.import_module(f"{framework}.ofproto.ofproto_v1_5")
    base: Any = app_manager.OSKenApp if framework == "os_ken" else app_manager.RyuApp
    on: Callable[..., Callable[[_Handler], _Handler]] = handler.set_ev_cls
    live = [handler.CONFIG_DISPATCHER, handler.MAIN_DISPATCHER]

    class KubinetApp(base):  # type: ignore[misc]
        """Passes the framework's events on."""

        OFP_VERSIONS = (ofproto.OFP_VERSION,)

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self._switches: dict[int, _Datapath] = {}

        @on(ofp_event.EventOFPStateChange, [handler.MAIN_DISPATCHER, handler.DEAD_DISPATCHER])
        def state_changed(self, event: Any) -> None:
            datapath = event.datapath
            if event.state == handler.MAIN_DISPATCHER:
                self._switches[id(datapath)] = switch = _Datapath(datapath)
                listener.connected(switch)
            elif (gone := self._switches.pop(id(datapath), None)) is not None:
                listener.disconnected(gone)

        @on(ofp_event.EventOFPErrorMsg, live)
        @on(ofp_event.EventOFPBundleCtrlMsg, live)
        @on(ofp_event.EventOFPAggregateStatsReply, live)
        @on(ofp_event.EventOFPFlowDescStatsReply, live)
        @on(ofp_event.EventOFPGroupStatsReply, live)
        @on(ofp_event.EventOFPPacketIn, live)
        def answered(self, event: Any) -> None:
            switch = self._switches.get(id(event.msg.datapath))
            if switch is None:
                _LOG.error("a switch that is not connected yet answers: %s", event.msg)
                return
            listener.received(switch, bytes(event.msg.buf))

    return KubinetApp


def _mend_native_hub(framework: str, hub: Any) -> None:
    """os-ken 4.2.2's thread hub: an exception ends an app's event loop, a lost switch is never reported and leaks
    threads, `Event.wait` ignores its timeout. Must run before the app manager is imported."""

    class TaskExit(BaseException):
        """Was `Exception`, so that the event loop took every error for its own end."""

    class Event(threading.Event):
        """With a timeout that counts."""

    hub.TaskExit = TaskExit
    hub.getcurrent = threading.current_thread
    hub.Event = Event
    make = hub.HubThread.__init__

    def make_daemon(self: Any, target: Any, args: Any = (), kwargs: Any = None) -> None:
        make(self, target, args, {} if kwargs is None else kwargs)
        self.daemon = True

    hub.HubThread.__init__ = make_daemon
    importlib.import_module(f"{framework}.base.app_manager")  # first: the two modules import each other
    controller = importlib.import_module(f"{framework}.controller.controller")
    dead = importlib.import_module(f"{framework}.controller.handler").DEAD_DISPATCHER
    receive = controller.Datapath._recv_loop

    def receive_and_report(self: Any) -> None:
        try:
            receive(self)
        finally:
            self.set_state(dead)
            queue = self.send_q
            if queue is not None and self._send_q_sem.acquire(blocking=False):
                queue.put((b"", True))  # wakes the sender, which sees that the switch is gone

    controller.Datapath._recv_loop = receive_and_report
