"""Pods that are deleted all the time, as rolling updates and evictions do it."""

import math
import random
from ipaddress import IPv4Address

from experiments.stats import derived_seed
from experiments.timeline.actions import Churn
from experiments.timeline.faults.base import Case, Memory, RecurringFault
from experiments.timeline.site import Check, Site, ready_pods
from kubinet.client import Object
from kubinet.errors import ApiError


class ChurnedPods(RecurringFault[Churn]):
    """`churn …`."""

    example = "from 0s to 60s: churn 20% of pods app=web every 5s"
    does = "deletes a share of the pods that a selector finds, one at least, drawn by the run's seed, each interval"
    presence = "pods were deleted and are gone or leaving"
    effect = "pods that were not there before are Ready: their owners replace what is deleted"
    recovery = "deletes no more; as many pods are Ready as before"

    def check(self, case: Case[Churn]) -> None:
        """Nothing: the pods may be made by a line before this one."""

    def inject(self, case: Case[Churn]) -> Memory:
        pods = _pods(case.site, case.action)
        memory = {"ready": len(list(ready_pods(pods))), "known": [pod["metadata"]["uid"] for pod in pods]}
        return self.turn(Case(case.site, case.action, {**memory, "deleted": [], "turns": 0}))

    def turn(self, case: Case[Churn]) -> Memory:
        staying = [pod for pod in _pods(case.site, case.action) if "deletionTimestamp" not in pod["metadata"]]
        # Names of a Deployment's pods are drawn anew in every cluster: where a pod is says which one it is.
        names = [pod["metadata"]["name"] for pod in sorted(staying, key=_position)]
        seed = derived_seed(case.site.seed, str(case.action), str(case.memory["turns"]))
        drawn = random.Random(seed).sample(names, math.ceil(len(names) * case.action.percent / 100))  # noqa: S311
        uids = {pod["metadata"]["name"]: pod["metadata"]["uid"] for pod in staying}
        for name in drawn:
            try:
                case.site.client.delete("Pod", name, case.action.namespace)
            except ApiError as error:
                if error.status != 404:
                    raise
        deleted = [*case.memory["deleted"], *(uids[name] for name in drawn)]
        return {**case.memory, "deleted": deleted, "turns": case.memory["turns"] + 1}

    def present(self, case: Case[Churn]) -> Check:
        staying = {
            pod["metadata"]["uid"]
            for pod in _pods(case.site, case.action)
            if "deletionTimestamp" not in pod["metadata"]
        }
        gone = [uid for uid in case.memory["deleted"] if uid not in staying]
        return Check(bool(gone), f"{len(gone)} of {len(case.memory['known'])} pods deleted")

    def symptom(self, case: Case[Churn]) -> Check:
        new = [
            pod
            for pod in ready_pods(_pods(case.site, case.action))
            if pod["metadata"]["uid"] not in case.memory["known"]
        ]
        return Check(bool(new), f"{len(new)} new pods are Ready")

    def heal(self, case: Case[Churn]) -> None:
        """Nothing more is deleted; the owners do the rest."""

    def healed(self, case: Case[Churn]) -> Check:
        ready = len(list(ready_pods(_pods(case.site, case.action))))
        return Check(ready >= case.memory["ready"], f"{ready} pods are Ready ({case.memory['ready']} before)")


def _position(pod: Object) -> tuple[str, IPv4Address, str]:
    address = IPv4Address(pod.get("status", {}).get("podIP") or 0)
    return pod["spec"].get("nodeName", ""), address, pod["metadata"]["name"]


def _pods(site: Site, action: Churn) -> list[Object]:
    found: list[Object] = site.client.list("Pod", action.namespace, label_selector=action.selector)["items"]
    return found
