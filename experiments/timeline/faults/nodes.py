"""Nodes that lose their agent, their Open vSwitch, or everything."""

import re
import signal
import time
from typing import Any, Final

from experiments.timeline.actions import CrashNode, RestartSwitch, StopAgent
from experiments.timeline.faults.base import Case, Fault, Memory, Stay
from experiments.timeline.site import Check, Site, ready_pods
from kubinet.client import Object
from kubinet.errors import KubinetError
from kubinet.state import NodeFacts

_DURATION: Final = re.compile(r"duration=([0-9.]+)s")
_ASKED: Final = 3
_COOKIE: Final = re.compile(r"cookie=0x([0-9a-f]+)")
_BRIDGES: Final = ("br-int", "br-phy")


class StoppedAgent(Fault[StopAgent]):
    """`stop agent …`."""

    example = "from 5s to 15s: stop agent n3"
    does = "stops the node's agent; its pods and its Open vSwitch run on, changes wait"
    presence = "the agents service says that it is stopped"
    effect = "a new pod on the node stays Pending without an address; after 15 s the Node's condition Ready is Unknown"
    recovery = "starts the agent; a new pod on the node becomes Ready"

    def check(self, case: Case[StopAgent]) -> None:
        case.site.node(case.action.node)

    def inject(self, case: Case[StopAgent]) -> Memory:
        case.site.agents("stop", case.action.node)
        return {}

    def present(self, case: Case[StopAgent]) -> Check:
        return _agent_is(case.site, case.action.node, "stopped")

    def symptom(self, case: Case[StopAgent]) -> Check:
        with case.site.probe_pod(case.action.node) as pod:
            ready = pod.ready(1.0)
        return Check(not ready.holds and "no address" in ready.seen, ready.seen)

    def heal(self, case: Case[StopAgent]) -> None:
        case.site.agents("start", case.action.node)

    def healed(self, case: Case[StopAgent]) -> Check:
        running = _agent_is(case.site, case.action.node, "running")
        if not running.holds:
            return running
        with case.site.probe_pod(case.action.node) as pod:
            return pod.ready(10.0)


class RestartedSwitch(Fault[RestartSwitch]):
    """`restart ovs on …`."""

    example = "at 5s: restart ovs on n2"
    does = (
        "ends the node's ovs-vswitchd and ovsdb-server (SIGTERM); the agent starts them again, the controller programs "
        "the new bridges"
    )
    presence = "both processes are gone"
    effect = "every flow of br-int and br-phy is younger than the restart, and all that the controller made are there"
    recovery = "none is needed: the Node is Ready and all nodes' flows are current"
    stay = Stay.PASSES
    effect_seconds = 60.0

    def check(self, case: Case[RestartSwitch]) -> None:
        case.site.node(case.action.node)
        if not _switch(case.site, case.action.node):
            raise KubinetError(f"node '{case.action.node}': its Open vSwitch does not run; nothing can be restarted")

    def inject(self, case: Case[RestartSwitch]) -> Memory:
        pids = _switch(case.site, case.action.node)
        flows = len(_programmed(case.site, case.action.node))
        began = time.time()
        case.site.signal(pids, signal.SIGTERM)
        return {"pids": pids, "flows": flows, "began": began}

    def present(self, case: Case[RestartSwitch]) -> Check:
        left = [pid for pid in case.memory["pids"] if case.site.process_state(pid)]
        return Check(not left, f"processes {left} live" if left else f"processes {case.memory['pids']} are gone")

    def symptom(self, case: Case[RestartSwitch]) -> Check:
        flows = _programmed(case.site, case.action.node)
        passed = time.time() - case.memory["began"]
        ages = [float(found[1]) for line in flows if (found := _DURATION.search(line))]
        oldest = max(ages, default=0.0)
        first = f"the oldest installed {passed - oldest:.2f} s after the restart"
        seen = f"{len(flows)} flows ({case.memory['flows']} before), {first}"
        plane = case.site.client.get("Dataplane", "cluster").get("status") or {}
        # Not as many as before: pods may have gone meanwhile.
        wanted = ((plane.get("nodes") or {}).get(case.action.node) or {}).get("flows", 0)
        return Check(len(flows) == wanted > 0 and oldest < passed, seen)

    def heal(self, case: Case[RestartSwitch]) -> None:
        """The agent does it."""

    def healed(self, case: Case[RestartSwitch]) -> Check:
        ready = case.site.node_ready(case.action.node)
        if ready != "True":
            return Check(False, f"Node {case.action.node}: Ready is {ready}")
        return case.site.realised(5.0)


class CrashedNode(Fault[CrashNode]):
    """`crash node …`."""

    example = "at 10s: crash node n4"
    does = (
        "takes a node's power: its links go down, its agent stops, its Open vSwitch, its pods' containers and every "
        "other process on it are killed (the kernel's own state, such as its routes, stays)"
    )
    presence = "its links are down, its agent is stopped, no process is left on it"
    effect = (
        "no other node reaches it while their flows to it stay; after the grace of 15 s the Node's condition Ready is "
        "Unknown, and none of its pods is Ready"
    )
    recovery = (
        "sets the links up and starts the agent, which starts Open vSwitch and the containers of pods that restart; "
        "the Node is Ready, other nodes reach it, all nodes' flows are current"
    )
    presence_seconds = 10.0
    effect_seconds = 40.0

    def check(self, case: Case[CrashNode]) -> None:
        case.site.node(case.action.node)

    def inject(self, case: Case[CrashNode]) -> Memory:
        node = case.site.node(case.action.node)
        links = _links(case.site, node.name)
        for link in links:
            case.site.underlay({"command": "link", "name": link, "up": False})
        case.site.agents("stop", node.name)
        case.site.signal(_processes(case.site, node), signal.SIGKILL)
        return {"links": links}

    def present(self, case: Case[CrashNode]) -> Check:
        agent = _agent_is(case.site, case.action.node, "stopped")
        up = [name for name in case.memory["links"] if any(end["up"] for end in case.site.link(name)["ends"])]
        left = _processes(case.site, case.site.node(case.action.node))
        seen = f"{agent.seen}, {len(left)} processes left, {len(case.memory['links']) - len(up)} links down"
        return Check(agent.holds and not up and not left, seen)

    def symptom(self, case: Case[CrashNode]) -> Check:
        node = case.site.node(case.action.node)
        ready = case.site.node_ready(case.action.node)
        reached = _reached(case.site, case.action.node)
        other = next((one.name for one in case.site.facts.nodes if one.name != node.name), None)
        kept = [line for line in case.site.flows(other) if str(node.underlay.ip) in line] if other else []
        pods = len(list(ready_pods(_pods(case.site, node.name))))
        seen = f"Ready is {ready}, {reached.seen}, {len(kept)} flows of {other} lead to it, {pods} pods on it are Ready"
        lost = ready == "Unknown" and not reached.holds and pods == 0
        return Check(lost and (other is None or bool(kept)), seen)

    def heal(self, case: Case[CrashNode]) -> None:
        for link in case.memory.get("links") or _links(case.site, case.action.node):
            case.site.underlay({"command": "link", "name": link, "up": True})
        case.site.agents("start", case.action.node)

    def healed(self, case: Case[CrashNode]) -> Check:
        ready = case.site.node_ready(case.action.node)
        if ready != "True":
            return Check(False, f"Node {case.action.node}: Ready is {ready}")
        reached = _reached(case.site, case.action.node)
        if not reached.holds:
            return reached
        waiting = _unready(case.site, case.action.node)
        if waiting:
            return Check(False, f"pods of {case.action.node} are not Ready: {', '.join(waiting[:5])}")
        current = case.site.realised(5.0)
        return Check(current.holds, f"Ready is True, {reached.seen}, {current.seen}")


def _agent_is(site: Site, node: str, wanted: str) -> Check:
    state = site.agents("list")["agents"][node]
    return Check(state == wanted, f"agent of {node} is {state}")


def _programmed(site: Site, node: str) -> list[str]:
    """The flows that the controller made: without those of partitions, and those that a switch learned."""
    lines = [line for bridge in _BRIDGES for line in site.flows(node, bridge)]
    cookies = ((line, _COOKIE.search(line)) for line in lines)
    return [line for line, cookie in cookies if cookie is None or not int(cookie[1], 16) >> 63]


def _links(site: Site, node: str) -> list[str]:
    """The node's links."""
    return [link["name"] for link in site.links() if any(end["vertex"] == node for end in link["ends"])]


def _switch(site: Site, node: str) -> list[int]:
    """The pids of the node's ovsdb-server and ovs-vswitchd."""
    stats: dict[str, Any] = site.agents("stats")["nodes"][node]
    return [int(pid) for pid in stats["switchPids"]]


def _processes(site: Site, node: NodeFacts) -> list[int]:
    """What runs on a node: its pods' containers, its Open vSwitch, programs in its network namespace."""
    found = {
        container.pid
        for sandbox in site.runtime().list()
        if sandbox.node == node.name
        for container in sandbox.containers
        if container.pid and container.exit_code is None
    }
    return sorted(found | set(site.in_namespace_of(node.pid)))


def _reached(site: Site, node: str) -> Check:
    """Whether the ping of another node is answered; the first few are asked."""
    others = [one.name for one in site.facts.nodes if one.name != node][:_ASKED]
    if not others:
        return Check(True, "there is no other node")
    for other in others:
        if site.reaches(other, site.node(node).underlay.ip):
            return Check(True, f"{other} reaches {node}")
    return Check(False, f"{' and '.join(others)} do not reach {node}")


def _pods(site: Site, node: str) -> list[Object]:
    found: list[Object] = site.client.list("Pod", field_selector=f"spec.nodeName={node}")["items"]
    return found


def _unready(site: Site, node: str) -> list[str]:
    """Pods of the node that should be Ready and are not."""
    pods = _pods(site, node)
    good = {pod["metadata"]["uid"] for pod in ready_pods(pods)}
    found = []
    for pod in pods:
        ended = (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")
        leaving = "deletionTimestamp" in pod["metadata"]
        if not ended and not leaving and pod["metadata"]["uid"] not in good:
            found.append(f"{pod['metadata']['namespace']}/{pod['metadata']['name']}")
    return found
