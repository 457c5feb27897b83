"""Writes the examples of docs/trace.md from private Open vSwitches: `python tests/ovs/trace_page.py`."""

import re
import tempfile
from dataclasses import replace
from io import StringIO
from ipaddress import IPv4Address
from pathlib import Path
from typing import Final

from rich.console import Console
from walking import WalkedCluster

from controller import policy_docs
from controller.compile import Compiler
from controller.walk.question import Question
from controller.walk.walker import Walker
from controller.walk.words.names import Names
from controller.walk.words.story import tell
from kubinet.cli import storyprinting
from kubinet.cli.clusterview import View
from kubinet.cli.traceplaces import aim_of, sender_of
from kubinet.state import ClusterState, Endpoint, Service, ServicePort
from kubinet.transport import Protocol

PAGE: Final = Path(__file__).parents[2] / "docs" / "trace.md"
_EXAMPLE: Final = re.compile(r"<!-- (kubinet trace (\S+) (\S+)) -->\n.*?<!-- end -->", re.DOTALL)
_WIDTH: Final = 150


def state() -> ClusterState:
    """The cluster of docs/policy.md with a Service."""
    plain = policy_docs.state()
    ends = tuple(Endpoint(pod.address, 8080, pod.node) for pod in plain.pods.values() if pod.labels.get("app") == "web")
    web = Service("shop", "web", IPv4Address("10.96.0.20"), (ServicePort("http", Protocol.TCP, 80, None, ends),))
    return replace(plain, services={web.key: web})


def page(text: str, walked: WalkedCluster) -> str:
    """The page with its examples written anew."""
    walked.bring(state())
    return _EXAMPLE.sub(lambda found: f"<!-- {found[1]} -->\n{_told(found, walked)}<!-- end -->", text)


def _told(found: re.Match[str], walked: WalkedCluster) -> str:
    view, compiler = View(state()), Compiler()
    compiler.compile(view.state)
    sender = sender_of(found[2], "default", view)
    aim = aim_of(found[3], "default", view, sender)
    journey = Walker(view.state, walked).journey(Question(sender, aim.address, aim.protocol, aim.port))
    story = tell(journey, Names.of(view.state, {}), compiler.meanings())
    out = StringIO()
    storyprinting.show(Console(file=out, width=_WIDTH, highlight=False), story, {}, everything=False)
    lines = [line.rstrip() for line in out.getvalue().splitlines()]
    return "\n".join(["```", f"$ {found[1]}", *lines, "```", ""])


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        cluster = WalkedCluster(Path(folder), state())
        try:
            PAGE.write_text(page(PAGE.read_text(), cluster))
        finally:
            cluster.close()
