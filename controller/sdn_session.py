"""One connected bridge: brings it to its desired flows in atomic bundles and knows what it has acknowledged.

A thread per bridge sends; only the newest desired state counts, so a slow bridge never works through a backlog.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence, Set
from itertools import count
from typing import Final, TypeAlias, TypeVar

from controller.framework import Switch
from controller.generations import Generations
from controller.openflow.actions import Action, ToController
from controller.openflow.decode import Answer, BundleAnswer, FlowCookies, FlowCount, GroupIds, Refusal, join
from controller.openflow.encode import (
    add_flow,
    aggregate_request,
    bundle,
    delete_by_cookie,
    delete_flow,
    delete_group,
    flow_desc_request,
    group_stats_request,
    put_group,
    put_meter,
)
from controller.openflow.flow import GENERATIONS, Flow, Group, Meter
from controller.pipeline import CANARY, DENIED_METER, METERS
from controller.program import Changes, Layer, Part, Program, differences
from kubinet.addressing import INTEGRATION_BRIDGE, node_index_and_bridge
from kubinet.errors import DeadlineError, KubinetError

_LOG = logging.getLogger(__name__)
_ANSWER_SECONDS: Final = 10.0
_RETRY_SECONDS: Final = 1.0
AUDIT_SECONDS: Final = 10.0
"""How often a bridge is asked how many flows it has."""
_ROUND_SHIFT: Final = 48
_ROUND_MASK: Final = 0xFFFF << _ROUND_SHIFT
_MANAGED: Final = 1 << 63
"""The cookie bit that is clear in all flows but those that a switch learned on its own."""
_UNMETERED: Final = "the datapath has no meters: denied packets are counted, but cannot be logged"
_FIRST_XID: Final = 0x4B000000

_Wanted = TypeVar("_Wanted", BundleAnswer, FlowCount, FlowCookies, GroupIds)
_Item: TypeAlias = Flow | Group


def _needs_meter(action: Action) -> bool:
    return isinstance(action, ToController) and action.meter is not None


def without(program: Program, refused: Set[_Item]) -> Program:
    """The program less some flows and groups."""

    def rest(part: Part) -> Part:
        if refused.isdisjoint(part.flows) and refused.isdisjoint(part.groups):
            return part
        return Part(
            tuple(flow for flow in part.flows if flow not in refused),
            tuple(group for group in part.groups if group not in refused),
        )

    return Program(tuple(Layer({key: rest(part) for key, part in layer.parts.items()}) for layer in program.layers))


class _GoneError(KubinetError):
    """The connection ended while an answer was awaited."""


class Session:
    """One connection of one bridge. `want` and `received` may be called from any thread and return at once."""

    def __init__(
        self, switch: Switch, on_realised: Callable[[], None], *, audit_seconds: float = AUDIT_SECONDS
    ) -> None:
        index, self.bridge = node_index_and_bridge(switch.id)
        self.node_index = index
        self._switch = switch
        self._on_realised = on_realised
        self._audit_seconds = audit_seconds
        self._changed = threading.Condition()
        self._ended = False
        self._desired: Program | None = None
        self._generation = Generations()
        self._answers: dict[int, Answer] = {}
        self._awaited: set[int] = set()
        self._complete: set[int] = set()
        self._xids = count(_FIRST_XID)
        self._sent: dict[int, _Item] = {}
        self._meter_xids: dict[int, Meter] = {}
        """Of the messages that add the bridge's meters."""
        self._unmetered = False
        self._refused: set[_Item] = set()
        self.errors = 0
        self.last_error = ""
        # Below: the writer thread's own.
        self._round = 0
        self._held: Program | None = None
        self._reached: Program | None = None
        """The very object that was asked for and is realised: nodes change flows without a new generation of pods."""
        self.realised = Generations()
        """The generations of the state whose flows the bridge has acknowledged."""
        self._thread = threading.Thread(target=self._run, name=f"bridge-{index}-{self.bridge}", daemon=True)

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def end(self) -> None:
        """The connection is gone."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def serves(self, switch: Switch) -> bool:
        """Whether this is the connection's session, not that of an earlier or later one of the same bridge."""
        return self._switch is switch

    @property
    def flows(self) -> int:
        """Flows that the bridge has acknowledged."""
        return self._held.flow_count if self._held is not None else 0

    @property
    def groups(self) -> int:
        """Groups that the bridge has acknowledged."""
        return self._held.group_count if self._held is not None else 0

    def want(self, desired: Program, generation: Generations) -> None:
        """What the bridge is to hold, and the generations that this realises."""
        with self._changed:
            self._desired, self._generation = desired, generation
            self._changed.notify_all()

    def received(self, answer: Answer) -> None:
        """The bridge's answer to something that was sent."""
        with self._changed:
            if answer.xid in self._awaited:
                known = self._answers.get(answer.xid)
                self._answers[answer.xid] = joined = answer if known is None else join(known, answer)
                if not getattr(joined, "more", False):
                    self._complete.add(answer.xid)
                    self._changed.notify_all()
            elif isinstance(answer, Refusal) and answer.xid in self._meter_xids:
                # Flows name the meter of denied packets; without the controller's own, everything is sent.
                self._unmetered |= self._meter_xids[answer.xid] == DENIED_METER
            elif isinstance(answer, Refusal):
                self._note_refusal(answer)

    def _note_refusal(self, refusal: Refusal) -> None:
        item = self._sent.get(refusal.xid)
        self.errors += 1
        if item is None:
            what = f"message {refusal.xid:#x}"
        else:
            self._refused.add(item)
            what = f"the {'group' if isinstance(item, Group) else 'flow'} of {item.owner}: {item.to_text()}"
        self.last_error = f"OFPT_ERROR type {refusal.type} code {refusal.code} for {what}"
        _LOG.error("%s: %s", self, self.last_error)

    def __str__(self) -> str:
        return f"{self.bridge} of node {self.node_index}"

    # The writer thread.

    def _run(self) -> None:
        working = True
        while working:
            try:
                working = self._work()
            except _GoneError:
                return
            except Exception as error:
                # What cannot even be encoded must not leave the bridge without a writer for good.
                _LOG.exception("%s: cannot be programmed; trying again", self)
                self._failed(f"{type(error).__name__}: {error}")
                self._rest()

    def _rest(self) -> None:
        """Wait for another desired state; try the same one again with the next audit."""
        with self._changed:
            failing = self._desired
            self._changed.wait_for(lambda: self._ended or self._desired is not failing, self._audit_seconds)

    def _failed(self, why: str) -> None:
        """Nothing is known of what the bridge holds: it is programmed anew, and whoever publishes is to say so."""
        with self._changed:
            self._held, self.last_error = None, why
            self.errors += 1
        self._on_realised()

    def _work(self) -> bool:
        """Wait for something to do and do it; False when the connection is gone."""
        with self._changed:
            due = self._changed.wait_for(self._has_work, self._audit_seconds)
            if self._ended:
                return False
            desired, generation = self._desired, self._generation
        if desired is None:
            return True
        try:
            if due:
                self._bring_to(desired)
                self._reached = desired
                if generation != self.realised:
                    self.realised = generation
                    self._on_realised()
            elif self._drifted():
                self._held = None
                self._bring_to(desired)
        except DeadlineError as error:
            # A bundle may be applied although its answer never came: start over.
            self._failed(str(error))
            _LOG.error("%s: %s; programming it anew", self, error)
        return True

    def _has_work(self) -> bool:
        news = self._desired is not self._reached or self._held is None or self._generation != self.realised
        return self._ended or (self._desired is not None and news)

    def _bring_to(self, desired: Program) -> None:
        """Send what differs; without what the switch refuses."""
        present = self._look() if self._held is None else frozenset()
        while True:
            allowed = self._allowed(desired)
            if self._held is None:
                done = self._replace(allowed, present)
            else:
                changes = differences(self._held, allowed)
                done = not changes or self._commit(self._encode(changes))
            if done:
                self._held = allowed
                return

    def _allowed(self, desired: Program) -> Program:
        """The program without what the switch refuses, or cannot do."""
        blamed: set[_Item] = set()
        if self._unmetered:
            blamed.update(flow for flow in desired.flows() if any(map(_needs_meter, flow.actions)))
            if blamed and self.last_error != _UNMETERED:
                self.last_error = _UNMETERED
                _LOG.warning("%s: %s", self, _UNMETERED)
        if self._refused:
            there = {*desired.flows(), *desired.groups()}
            with self._changed:
                self._refused &= there
                blamed |= self._refused
        return without(desired, blamed) if blamed else desired

    def _look(self) -> frozenset[int]:
        """What the next round begins from: the bridge's meters are there, if it has any; returns its groups."""
        if self._round == 0:
            cookies = self._ask(lambda xid: flow_desc_request(xid, CANARY.number), FlowCookies).cookies
            self._round = max((cookie >> _ROUND_SHIFT for cookie in cookies), default=0) % GENERATIONS
        self._put_meters()
        # Answers come in the order of requests: by now a refusal of the meters would be here.
        return frozenset(self._ask(group_stats_request, GroupIds).groups)

    def _put_meters(self) -> None:
        """Meters are no part of bundles, and not every datapath has them."""
        wanted = {next(self._xids): meter for meter in METERS} if self.bridge == INTEGRATION_BRIDGE else {}
        with self._changed:
            self._meter_xids, self._unmetered = wanted, False
        messages = [message for xid, meter in wanted.items() for message in put_meter(meter, xid)]
        if not self._switch.send(b"".join(messages)):
            raise _GoneError(f"{self}: connection lost")

    def _replace(self, program: Program, present: Set[int]) -> bool:
        """All flows under a new round, then away with whatever is not of it; in one bundle, so there is never a gap.

        Flows that the bridge learned (session affinity) stay, and groups are replaced where they are.
        """
        self._round = self._round % (GENERATIONS - 1) + 1
        wanted = tuple(program.groups())
        strangers = present - {group.id for group in wanted}
        messages = self._encode(Changes(wanted, tuple(program.flows())))
        leaving = [delete_group(number, next(self._xids)) for number in sorted(strangers)]
        return self._commit([*messages, *self._sweep(), *leaving])

    def _sweep(self) -> Iterator[bytes]:
        """Delete the flows of all other rounds: for each bit of the round, those in which it differs."""
        for bit in range(_ROUND_SHIFT, 63):
            other = ~(self._round << _ROUND_SHIFT) & 1 << bit
            yield delete_by_cookie(other, _MANAGED | 1 << bit, next(self._xids))

    def _encode(self, changes: Changes) -> list[bytes]:
        messages = []
        with self._changed:
            self._sent.clear()
            for group in changes.put_groups:
                xid = next(self._xids)
                self._sent[xid] = group
                messages.append(put_group(group, xid))
            for flow in changes.add:
                xid = next(self._xids)
                self._sent[xid] = flow
                messages.append(add_flow(flow, self._round, xid))
            # A refused deletion says nothing against what is desired: it is not among what was sent.
            messages += [delete_flow(flow, next(self._xids)) for flow in changes.delete]
            messages += [delete_group(number, next(self._xids)) for number in changes.delete_groups]
        return messages

    def _commit(self, messages: Sequence[bytes]) -> bool:
        """Whether the switch applied the bundle; False when it refused and says which flows are to blame."""
        opening, number = next(self._xids), next(self._xids) & 0xFFFFFF
        known = len(self._refused)
        answer = self._answer(lambda xid: bundle(number, messages, open_xid=opening, commit_xid=xid))
        if isinstance(answer, BundleAnswer) and answer.committed:
            return True
        if len(self._refused) > known:
            _LOG.error(
                "%s: refused a bundle of %d messages; trying again without the flows to blame", self, len(messages)
            )
            return False
        self._held = None
        with self._changed:
            self._changed.wait_for(lambda: self._ended, _RETRY_SECONDS)
        raise DeadlineError(f"a bundle of {len(messages)} messages was refused without naming one: {answer}")

    def _drifted(self) -> bool:
        """Whether the bridge's flows are not those that it acknowledged, by their number."""
        expected = self.flows
        current = self._round << _ROUND_SHIFT
        ours = self._ask(lambda xid: aggregate_request(current, _ROUND_MASK, xid), FlowCount).flows
        managed = self._ask(lambda xid: aggregate_request(0, _MANAGED, xid), FlowCount).flows
        if ours == managed == expected:
            return False
        _LOG.warning(
            "%s: has %d flows of the %d that it acknowledged, and %d foreign ones; programming it anew",
            self,
            ours,
            expected,
            managed - ours,
        )
        return True

    def _ask(self, request: Callable[[int], bytes], kind: type[_Wanted]) -> _Wanted:
        answer = self._answer(request)
        if not isinstance(answer, kind):
            raise DeadlineError(f"asked for {kind.__name__}, answered {answer}")
        return answer

    def _answer(self, request: Callable[[int], bytes]) -> Answer:
        """Send a request and wait for its answer; DeadlineError when none comes."""
        xid = next(self._xids)
        with self._changed:
            self._awaited.add(xid)
        start = time.monotonic()
        try:
            if not self._switch.send(request(xid)):
                raise _GoneError(f"{self}: connection lost")
            with self._changed:
                self._changed.wait_for(lambda: self._ended or xid in self._complete, _ANSWER_SECONDS)
                if self._ended:
                    raise _GoneError(f"{self}: connection lost")
                if xid not in self._complete:
                    raise DeadlineError(f"no answer within {time.monotonic() - start:.0f} s")
                return self._answers.pop(xid)
        finally:
            with self._changed:
                self._awaited.discard(xid)
                self._complete.discard(xid)
                self._answers.pop(xid, None)
