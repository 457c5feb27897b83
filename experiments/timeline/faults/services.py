"""Services of the control plane that die or stand still."""

import signal
from typing import Final

import requests

from experiments.timeline.actions import Kill, Pause
from experiments.timeline.faults.base import Case, Fault, Memory, Stay
from experiments.timeline.site import Check, Site
from kubinet.errors import DeadlineError, KubinetError

_PATIENCE: Final = 1.0
"""Seconds without an answer that mean that none comes."""


class KilledService(Fault[Kill]):
    """`kill controller|api|agents`."""

    example = "at 5s: kill controller"
    does = "kills the service's process (SIGKILL); the sandbox's first process starts another"
    presence = "the process is gone"
    effect = "the supervisor counts one restart more; the bridges keep their flows meanwhile"
    recovery = "none is needed: the new process is ready and answers, and for the controller a new pod becomes Ready"
    stay = Stay.PASSES

    def check(self, case: Case[Kill]) -> None:
        _pid(case.site, case.action.service)

    def inject(self, case: Case[Kill]) -> Memory:
        service = case.site.service(case.action.service)
        first = case.site.facts.nodes[0].name
        memory = {
            "pid": _pid(case.site, case.action.service),
            "restarts": service["restarts"],
            "flows": len(case.site.flows(first)),
        }
        case.site.signal([int(memory["pid"])], signal.SIGKILL)
        return memory

    def present(self, case: Case[Kill]) -> Check:
        gone = not case.site.process_state(case.memory["pid"])
        return Check(gone, f"process {case.memory['pid']} {'is gone' if gone else 'lives'}")

    def symptom(self, case: Case[Kill]) -> Check:
        restarts = case.site.service(case.action.service)["restarts"] - case.memory["restarts"]
        first = case.site.facts.nodes[0].name
        flows = len(case.site.flows(first))
        seen = f"{restarts} restart, {flows} flows on {first}'s br-int ({case.memory['flows']} before)"
        return Check(restarts > 0 and flows > 0, seen)

    def heal(self, case: Case[Kill]) -> None:
        """The supervisor does it."""

    def healed(self, case: Case[Kill]) -> Check:
        service = case.site.service(case.action.service)
        if service["state"] != "ready":
            return Check(False, f"{case.action.service} is {service['state']}")
        return _answers(case.site, case.action.service, 5.0)


class PausedService(Fault[Pause]):
    """`pause controller|api|agents`."""

    example = "from 5s to 15s: pause controller"
    does = "stops the service's process (SIGSTOP): it is there and does nothing"
    presence = "the process's state is T (stopped)"
    effect = "the API or the agents service gives no answer within 1 s; without the controller no new pod is Ready"
    recovery = "continues it (SIGCONT); it answers, and for the controller a new pod becomes Ready"

    def check(self, case: Case[Pause]) -> None:
        _pid(case.site, case.action.service)

    def inject(self, case: Case[Pause]) -> Memory:
        pid = _pid(case.site, case.action.service)
        case.site.signal([pid], signal.SIGSTOP)
        return {"pid": pid}

    def present(self, case: Case[Pause]) -> Check:
        state = case.site.process_state(case.memory["pid"])
        return Check(state == "T", f"process {case.memory['pid']} is in state {state or 'gone'}")

    def symptom(self, case: Case[Pause]) -> Check:
        answer = _answers(case.site, case.action.service, _PATIENCE)
        return Check(not answer.holds, answer.seen)

    def heal(self, case: Case[Pause]) -> None:
        pid = case.memory.get("pid") or case.site.service(case.action.service)["pid"]
        case.site.signal([int(pid)], signal.SIGCONT)

    def healed(self, case: Case[Pause]) -> Check:
        return _answers(case.site, case.action.service, 5.0)


def _pid(site: Site, service: str) -> int:
    pid = int(site.service(service)["pid"])
    if pid == 0:
        raise KubinetError(
            f"service {service} of cluster '{site.cluster.name}' does not run; `kubinet status` shows why"
        )
    return pid


def _answers(site: Site, service: str, seconds: float) -> Check:
    """Whether the service does its work within that time."""
    match service:
        case "controller":
            with site.probe_pod(site.facts.nodes[0].name) as pod:
                return pod.ready(seconds)
        case "agents":
            try:
                agents = site.agents("list", seconds=seconds)["agents"]
            except DeadlineError as error:
                return Check(False, str(error))
            return Check(True, f"the agents service answers for {len(agents)} nodes")
    info = site.cluster.info
    try:
        answer = requests.get(
            f"{info.url}/readyz",
            headers={"Authorization": f"Bearer {info.token}"},
            verify=str(info.state_dir / "pki" / "ca.crt"),
            timeout=seconds,
        )
    except requests.Timeout:
        return Check(False, f"the API did not answer in {seconds:g} s")
    except requests.RequestException:
        return Check(False, "the API cannot be reached")
    return Check(answer.ok, f"the API answers {answer.status_code}")
