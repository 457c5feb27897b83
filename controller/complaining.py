"""Tells what is not in force, in a thread of its own: neither judging nor writing events may hold up the flows."""

import logging
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from controller.complaints import Complaint, not_enforced
from controller.objectwarnings import ObjectWarnings
from controller.policy.dnswarning import DnsWarnings
from kubinet.client import Client
from kubinet.policyobjects import unsupported
from kubinet.state import ClusterState

_LOG: Final = logging.getLogger(__name__)
_SERVICE: Final = "Service/"
_POD: Final = "Pod/"
_REST_SECONDS: Final = 0.25
"""Between two looks: a single change is told at once, a flood of changes in few looks."""


@dataclass(frozen=True, slots=True)
class Findings:
    """A state as it was compiled, the complaints of compiling it, and the objects that complaints may be about."""

    state: ClusterState
    complaints: tuple[Complaint, ...]
    services: Mapping[str, Mapping[str, Any]]
    """By `namespace/name`."""
    policies: Mapping[str, Mapping[str, Any]]
    """By `Kind/namespace/name` or `Kind/name`."""
    pods: Mapping[str, Mapping[str, Any]]
    """By `namespace/name`."""

    def find(self, owner: str) -> Mapping[str, Any] | None:
        """The object of that name."""
        if owner.startswith(_SERVICE):
            return self.services.get(owner.removeprefix(_SERVICE))
        if owner.startswith(_POD):
            return self.pods.get(owner.removeprefix(_POD))
        return self.policies.get(owner)


class Complainer:
    """Writes complaints as events; only the newest findings count."""

    def __init__(self, client: Client) -> None:
        self._warnings = ObjectWarnings(client)
        self._dns = DnsWarnings()
        self._known: dict[str, tuple[Mapping[str, Any], tuple[Complaint, ...]]] = {}
        self._newest: Findings | None = None
        self._news = threading.Condition()

    def start(self) -> None:
        """Tell from now on."""
        threading.Thread(target=self._run, name="complain", daemon=True).start()

    def look(self, findings: Findings) -> None:
        """There are new findings; returns at once."""
        with self._news:
            self._newest = findings
            self._news.notify()

    def _run(self) -> None:
        while True:
            with self._news:
                self._news.wait_for(lambda: self._newest is not None)
                findings, self._newest = self._newest, None
            try:
                if findings is not None:
                    self.tell(findings)
            except Exception:
                # Complaints are a service to people: the next findings give them another try.
                _LOG.exception("what is not in force cannot be told")
            time.sleep(_REST_SECONDS)  # rate limit, not a wait for a fact

    def tell(self, findings: Findings) -> None:
        """Write the events that these findings ask for and that were not written before."""
        every = (*findings.complaints, *self._about_policies(findings.policies), *self._dns.of(findings.state))
        self._warnings.tell(every, findings.find)

    def _about_policies(self, policies: Mapping[str, Mapping[str, Any]]) -> Iterator[Complaint]:
        """A policy object that is still the same is not looked at again."""
        before, self._known = self._known, {}
        for owner, obj in policies.items():
            known = before.get(owner)
            if known is None or known[0] is not obj:
                known = (obj, tuple(not_enforced(owner, unsupported(obj))))
            self._known[owner] = known
            yield from known[1]
