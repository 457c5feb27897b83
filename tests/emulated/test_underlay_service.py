"""The underlay service: what it answers on its socket."""

import json
import signal
import socket
import threading
from pathlib import Path
from typing import Any

import pytest
from sandboxed import call_sandboxed

from kubinet.errors import KubinetError
from kubinet.service import ServiceContext
from topologies import underlay
from topologies.document import to_document
from topologies.resolve import load_topology
from topologies.underlay_client import call

pytestmark = pytest.mark.emulated

LINK = "n1-s1"


def _service() -> dict[str, Any]:
    """The underlay service itself, asked over its socket."""
    state, run = Path("/run/state"), Path("/run/kubinet")
    state.mkdir()
    topology = load_topology("star", {"nodes": 2, "rate": "20mbit", "delay": "5ms"})
    (state / "topology.json").write_text(json.dumps(to_document(topology)))
    ready = threading.Event()
    answers: dict[str, Any] = {}
    context = ServiceContext("test", run, state, "", "", lambda facts: (answers.update(ready=dict(facts)), ready.set()))

    def ask() -> None:
        path = run / "underlay.sock"
        try:
            assert ready.wait(30)
            answers["links"] = [one["name"] for one in call({"command": "links"}, socket_path=path)["links"]]
            answers["down"] = call({"command": "link", "name": LINK, "up": False}, socket_path=path)
            request = {"command": "measure", "names": [LINK]}
            answers["silent"] = call(request, socket_path=path)["links"][0]["problems"]
            call({"command": "link", "name": LINK, "up": True}, socket_path=path)
            change = {"command": "set", "name": LINK, "values": {"delay": "10ms"}}
            answers["set"] = call(change, socket_path=path)["delay"]
            answers["measured"] = call(request, socket_path=path)["links"][0]["problems"]
            ours, theirs = socket.socketpair()
            with ours, theirs, (run / "prompt").open("w+") as output:
                ours.sendall(b"nodes\nn1 echo n2\nexit\n")
                ours.shutdown(socket.SHUT_WR)
                fds = (theirs.fileno(), output.fileno(), output.fileno())
                answers["exit"] = call({"command": "cli"}, fds, path)["exit"]
                output.seek(0)
                answers["prompt"] = output.read()
            try:
                call({"command": "link", "name": "nowhere", "up": True}, socket_path=path)
            except KubinetError as error:
                answers["unknown"] = str(error)
        finally:
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)

    threading.Thread(target=ask).start()
    try:
        underlay.serve(context)
    except SystemExit:
        answers["facts"] = "n1" in (run / "facts.json").read_text()
        answers["datapath"] = json.loads((state / "topology.json").read_text())["spec"]["network"]["datapath"]
    return answers


def test_the_underlay_service_lists_changes_and_measures_links_and_gives_mininets_prompt() -> None:
    """Links are listed, taken down and up, changed, measured over the socket; `nodes` works in Mininet's prompt."""
    answers = call_sandboxed(_service)
    assert answers["links"] == ["n1-s1", "n2-s1", "internet-s1"]
    assert answers["down"] == {"name": LINK, "up": False}
    assert [words.split(":")[1].split(";")[1] for words in answers["silent"]] == [" is the link up?"] * 2
    assert answers["set"] == 0.01
    assert answers["measured"] == []
    assert "available nodes are: \ninternet n1 n2 s1\n" in answers["prompt"]
    assert answers["prompt"].count("172.18.0.2") == 1
    assert answers["exit"] == 0
    assert answers["unknown"].startswith("link 'nowhere' is not in this cluster; its links: n1-s1, n2-s1")
    assert answers["facts"] is True
    assert answers["datapath"] in ("netdev", "system")
