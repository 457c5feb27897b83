"""The pods of one node: carries out what `agents.plan` decides, the same step of all pods at once."""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from typing import Any, Final

from agents.events import Severity
from agents.ipam import AddressesExhaustedError, AddressPool
from agents.node_object import timestamp
from agents.node_setup import NodeSwitch
from agents.plan import BACKOFF_RESET_SECONDS, Action, Actual, Do, Plan, plan
from agents.pod_health import PodHealth
from agents.pod_network import Attached, PodLink, PodNetwork
from agents.pod_start import ContainerStarter
from agents.pod_status import DEADLINE_EXCEEDED, DEADLINE_MESSAGE, Told, addresses, differs, pod_status, status_patch
from agents.pod_stop import ContainerStopper
from agents.podcontainers import sandbox_spec
from agents.podrecord import PodTools, Record
from agents.podresolver import HostnameError, resolver
from agents.podspec import Pod, pod_from_object
from kubinet.addressing import pod_interface
from kubinet.client import Client
from kubinet.errors import ApiError, KubinetError
from kubinet.netns import of_process
from kubinet.state import NodeFacts

_LOG = logging.getLogger(__name__)
_NETWORK_PATIENCE: Final = timedelta(seconds=10)
"""After how long without flows a pod says so, again and again."""
_CREATING_PATIENCE: Final = timedelta(seconds=3)
"""How long a new pod may wait for its flows before its status says so: most run by then, and everybody who watches
pods hears each write."""
_IDLE_SECONDS: Final = 60.0
_BLOCK_FIRST_SECONDS: Final = 0.5
_BLOCK_LIMIT_SECONDS: Final = 30.0
_ROUNDS: Final = 50
"""A bound on planning without a pause: more would be a defect, and must not become a busy loop."""


class PodManager:
    """Realises the pods of one node. Belongs to the thread of the node's agent."""

    def __init__(
        self,
        tools: PodTools,
        client: Client,
        node: NodeFacts,
        switch: Callable[[], NodeSwitch],
    ) -> None:
        self._tools = tools
        self._client = client
        self._node = node
        self._pool = AddressPool(node.pod_cidr)
        self._network = PodNetwork(switch)
        self._starter = ContainerStarter(tools, client, node)
        self._health = PodHealth(tools, node)
        self._stopper = ContainerStopper(tools, self._health, node)
        self._records: dict[str, Record] = {}
        self._objects: dict[str, Mapping[str, Any]] = {}
        self._epoch = tools.runtime.epoch
        self._recovered = False
        self._departures = 0
        """How often interfaces were taken away."""

    @property
    def count(self) -> int:
        """Pods that have something on this node."""
        return len(self._records)

    def close(self) -> None:
        """Let go of the node; the pods live on."""
        self._health.close()
        self._network.close()

    def reconcile(self, objects: Mapping[str, Mapping[str, Any]], realised: int) -> float:
        """Bring the pods nearer to what the API says; returns after how many seconds to look again.

        `objects`: the node's Pod objects by uid; `realised`: the generation of the node's flows.
        """
        self._take(objects)
        try:
            self._settle(self._work(realised), realised)
        except BaseException:
            for record in self._records.values():
                record.seen = None  # some were planned, and nothing came of it
            raise
        dues = [record.look_again for record in self._records.values() if record.look_again is not None]
        now = datetime.now(UTC)
        return max(0.0, min([(due - now).total_seconds() for due in dues] + [_IDLE_SECONDS]))

    def _work(self, realised: int) -> Mapping[str, Plan]:
        """Plan the pods that are due and do what is to do, until nothing is; returns each one's last plan."""
        plans: dict[str, Plan] = {}
        worked: set[str] = set()
        for _ in range(_ROUNDS):
            now = datetime.now(UTC)
            due = [uid for uid, one in self._records.items() if uid in worked or self._is_due(one, realised, now)]
            for record in map(self._records.__getitem__, due):
                self._health.declare(record, self._address(record))
                self._stopper.after_hooks(record)
            decided = {uid: self._plan(self._records[uid], realised, now) for uid in due}
            plans |= decided
            actions = [(self._records[uid], action) for uid, plan_ in decided.items() for action in plan_.actions]
            if not actions:
                break
            for do in sorted({action.do for _, action in actions}):
                self._carry_out(do, [(record, action) for record, action in actions if action.do is do])
            worked = {record.uid for record, _ in actions}
        return plans

    def _plan(self, record: Record, realised: int, now: datetime) -> Plan:
        # Noted before the look: what changes during it is planned at the next wake.
        inputs = self._inputs(record, realised)
        decided = plan(record.pod, self._actual(record), realised, now)
        record.seen, record.look_again = inputs, None
        return decided

    def _settle(self, plans: Mapping[str, Plan], realised: int) -> None:
        """Tell what is to tell of the pods that were planned, and note when to plan them again."""
        now = datetime.now(UTC)
        for uid, decided in plans.items():
            record = self._records.get(uid)
            if record is None:
                continue
            dues = [decided.look_again] if decided.look_again is not None else []
            if record.pod is not None:
                if decided.overdue:
                    self._tell_once(record, "Normal", DEADLINE_EXCEEDED, DEADLINE_MESSAGE)
                due = self._mind_network(record, decided, realised, now)
                dues += [due] if due is not None else []
                quiet = record.quiet_until if decided.waits_for_network else None
                dues += [quiet] if quiet is not None and now < quiet else self._write_status(record, decided, now)
            if decided.actions:
                record.seen = None  # the rounds ran out
            record.look_again = min(dues, default=None)

    def _is_due(self, record: Record, realised: int, now: datetime) -> bool:
        """Whether the record has to be planned: something that the plan depends on changed, or it is time."""
        if record.pre_stop or (record.look_again is not None and record.look_again <= now):
            return True
        return record.seen is None or record.seen != self._inputs(record, realised)

    def _inputs(self, record: Record, realised: int) -> tuple[object, ...]:
        """What plan and status depend on, beside the pod's object, the time, and what carrying out plans changes."""
        unattached = record.attached is None
        return (
            self._tools.runtime.version(record.uid),
            record.published is None or realised >= record.published,
            unattached,
            self._health.inputs(record),
            self._departures if unattached else 0,  # an older pod of the same name may have gone
        )

    # What is

    def _take(self, objects: Mapping[str, Mapping[str, Any]]) -> None:
        for uid, obj in objects.items():
            if self._objects.get(uid) is not obj:
                record = self._records.get(uid)
                if record is None:
                    if (obj.get("status") or {}).get("phase") in ("Succeeded", "Failed") and not _deleting(obj):
                        continue  # it ended before this agent's time, and nothing of it is left
                    record = self._records[uid] = Record(uid)
                    self._adopt(record, pod_from_object(obj))
                record.pod, record.seen = pod_from_object(obj), None
        for uid in self._objects.keys() - objects.keys():
            if uid in self._records:
                self._records[uid].pod, self._records[uid].seen = None, None
        self._objects = dict(objects)
        if not self._recovered:
            self._recover()
        if self._epoch != self._tools.runtime.epoch:
            self._epoch = self._tools.runtime.epoch
            self._after_runtime_loss()

    def _adopt(self, record: Record, pod: Pod) -> None:
        """A pod that is new to us, though maybe not to the API: an agent before us may have begun with it."""
        if pod.address is not None and (pod.host_network or self._pool.claim(pod.uid, pod.address)):
            record.published = pod.version
        status = pod.wire.get("status") or {}
        known = [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]
        for entry in known:
            count = int(entry.get("restartCount") or 0)
            record.restarts[entry["name"]] = count
            if entry.get("containerID"):
                record.attempts[entry["name"]] = count + 1

    def _recover(self) -> None:
        """Once, at the agent's start: what the runtime and the switch hold from before."""
        attached = self._network.attached()
        sandboxes = self._tools.runtime.sandboxes_of(self._node.name)
        for uid in {*sandboxes, *attached} - self._records.keys():
            self._records[uid] = Record(uid)  # its pod was deleted meanwhile
        for uid, port in attached.items():
            record = self._records[uid]
            self._pool.claim(uid, port.address)
            record.attached = port
            wanted = record.pod.address if record.pod is not None else None
            if uid not in sandboxes or (wanted is not None and wanted != port.address):
                self._network.disconnect([port])
                record.attached = None
        self._recovered = True

    def _after_runtime_loss(self) -> None:
        """The runtime was restarted: sandboxes that it does not know any more have lost their interfaces too."""
        present = self._tools.runtime.sandboxes_of(self._node.name)
        lost = [record for uid, record in self._records.items() if uid not in present]
        self._disconnect(lost)
        for record in lost:
            record.stopping.clear()

    def _actual(self, record: Record) -> Actual:
        sandbox = self._tools.runtime.sandbox(record.uid)
        containers, _ = self._tools.runtime.containers(record.uid)
        pod = record.pod
        shares = pod is not None and pod.host_network
        return Actual(
            published=record.published,
            sandbox=sandbox is not None,
            connected=record.attached is not None or (shares and sandbox is not None),
            containers=containers,
            restarts=record.restarts,
            attempts=record.attempts,
            not_before=record.not_before,
            stopping=frozenset(record.stopping),
            health=self._health.health(record.uid, containers),
            post_start=self._health.post_start(pod, containers) if pod is not None else frozenset(),
            condemned=self._health.condemned(record, containers),
            blocked_until=record.blocked_until,
            predecessor=pod is not None and record.attached is None and self._predecessor(pod),
        )

    def _predecessor(self, pod: Pod) -> bool:
        """Whether an older pod of this name still has the interface that is named after it."""
        name = pod_interface(pod.namespace, pod.name)
        return any(
            other.attached is not None and other.attached.interface == name and other.uid != pod.uid
            for other in self._records.values()
        )

    # What to do

    def _carry_out(self, do: Do, entries: Sequence[tuple[Record, Action]]) -> None:
        records = [record for record, _ in entries]
        try:
            match do:
                case Do.TEAR_DOWN:
                    self._tear_down(records)
                case Do.FORGET:
                    self._each(records, self._forget)
                case Do.PUBLISH:
                    self._each(records, self._publish)
                case Do.CREATE:
                    self._create(records)
                case Do.CONNECT:
                    self._connect(records)
                case Do.START:
                    self._start(entries)
                case Do.STOP:
                    self._stop(entries)
        except KubinetError as error:
            for record in {record.uid: record for record in records}.values():
                self._block(record, f"Failed{do.name.title().replace('_', '')}", error)
        except Exception as error:
            # A defect that one pod brings to light is that pod's trouble, not its node's.
            if len(entries) > 1:
                for entry in entries:
                    self._carry_out(do, [entry])
                return
            _LOG.exception("node %s: pod %s: a defect in the agent", self._node.name, _name(records[0]))
            self._block(records[0], "FailedSync", KubinetError(f"a defect in the agent: {error!r}; see its log"))

    def _each(self, records: Iterable[Record], work: Callable[[Record], None]) -> None:
        for record in records:
            try:
                work(record)
            except AddressesExhaustedError as error:
                self._block(record, "FailedCreatePodSandBox", error)
            except KubinetError as error:
                self._block(record, "FailedSync", error)

    def _block(self, record: Record, reason: str, error: KubinetError) -> None:
        """Leave the pod alone for a while after a failure, longer each time, and say why."""
        pause = min(_BLOCK_LIMIT_SECONDS, _BLOCK_FIRST_SECONDS * 2 ** min(record.failures, 10))
        record.failures += 1
        record.blocked_until = datetime.now(UTC) + timedelta(seconds=pause)
        _LOG.warning("node %s: pod %s: %s: %s", self._node.name, _name(record), reason, error)
        self._tell(record, "Warning", reason, str(error))

    def _tear_down(self, records: Sequence[Record]) -> None:
        self._disconnect(records)
        for record in records:
            self._health.forget(record.uid)
        # A pod that ended keeps its logs until it is deleted.
        for keep in (True, False):
            uids = [record.uid for record in records if _keeps_logs(record) is keep]
            if uids:
                self._tools.runtime.remove(uids, keep_logs=keep)
        for record in records:
            self._pool.release(record.uid)

    def _disconnect(self, records: Iterable[Record]) -> None:
        attached = [(record, record.attached) for record in records if record.attached is not None]
        self._network.disconnect([port for _, port in attached])
        for record, _ in attached:
            record.attached = None
            self._departures += 1

    def _forget(self, record: Record) -> None:
        pod = record.pod
        if pod is not None and pod.deleting:
            self._tools.runtime.remove([pod.uid], keep_logs=False)  # logs of a pod that ended long ago
            try:
                self._client.delete("Pod", pod.name, pod.namespace, grace_period=0)
            except ApiError as error:
                if error.status != 404:
                    raise
        self._pool.release(record.uid)
        del self._records[record.uid]

    def _publish(self, record: Record) -> None:
        pod = record.pod
        assert pod is not None
        address = self._node.underlay.ip if pod.host_network else self._pool.allocate(pod.uid)
        host = str(self._node.underlay.ip)
        start = (pod.wire.get("status") or {}).get("startTime") or timestamp(datetime.now(UTC))
        status = {**addresses(address), "hostIP": host, "hostIPs": [{"ip": host}], "startTime": start}
        try:
            patched = self._client.patch("Pod", pod.name, {"status": status}, pod.namespace, subresource="status")
        except ApiError as error:
            if error.status == 404:
                record.blocked_until = datetime.now(UTC) + timedelta(seconds=1)  # deleted: the feed will say so
                return
            raise
        record.published = int(patched["metadata"]["resourceVersion"])
        record.failures = 0

    def _create(self, records: Sequence[Record]) -> None:
        namespace = of_process(self._node.pid)
        specs, made = [], []
        for record in records:
            assert record.pod is not None
            address = self._address(record)
            try:
                specs.append(sandbox_spec(record.pod, self._node.name, address, namespace, self._tools.dns))
            except HostnameError as error:
                self._block(record, "FailedCreatePodSandBox", error)
                continue
            made.append(record)
            if omitted := resolver(record.pod, self._tools.dns).omitted:
                self._tell(
                    record, "Warning", "DNSConfigForming", f"limits of resolv.conf exceeded, left out: {omitted}"
                )
        self._tools.runtime.create(specs)
        now = datetime.now(UTC)
        for record in made:
            record.network_overdue = now + _NETWORK_PATIENCE
            assert record.pod is not None
            told = (record.pod.wire.get("status") or {}).get("containerStatuses")
            record.quiet_until = None if told else now + _CREATING_PATIENCE

    def _connect(self, records: Sequence[Record]) -> None:
        links = []
        by_uid = {record.uid: record for record in records}
        for record in records:
            sandbox, address = self._tools.runtime.sandbox(record.uid), self._pool.address_of(record.uid)
            assert record.pod is not None and sandbox is not None and address is not None
            name = pod_interface(record.pod.namespace, record.pod.name)
            links.append(PodLink(record.uid, name, address, sandbox.netns))
        failures = self._network.connect(links)
        for link in links:
            record = by_uid[link.uid]
            if link.uid in failures:
                self._block(record, "FailedCreatePodSandBox", failures[link.uid])
            else:
                record.attached = Attached(link.interface, link.address)
                record.failures = 0

    def _start(self, entries: Sequence[tuple[Record, Action]]) -> None:
        containers = {record.uid: self._tools.runtime.containers(record.uid)[0] for record, _ in entries}
        for record, action in entries:
            last = containers[record.uid].get(action.container)
            if last is not None and last.finished_at is not None:
                ran = (last.finished_at - last.started_at).total_seconds()
                count = 0 if ran >= BACKOFF_RESET_SECONDS else record.restarts.get(action.container, 0)
                record.restarts[action.container] = count + 1
            record.stopping.discard(action.container)
            record.condemned.pop(action.container, None)
        self._starter.start(entries, {record.uid: self._address(record) for record, _ in entries})
        for record, action in entries:
            self._health.run_post_start(record, action, self._address(record))

    def _address(self, record: Record) -> IPv4Address:
        """The pod's address; the node's for a host-network pod."""
        return self._pool.address_of(record.uid) or self._node.underlay.ip

    def _stop(self, entries: Sequence[tuple[Record, Action]]) -> None:
        for record, action in entries:
            self._stopper.stop(record, action, self._address(record))

    # What to say

    def _mind_network(self, record: Record, decided: Plan, realised: int, now: datetime) -> datetime | None:
        if not decided.waits_for_network:
            record.network_overdue = None
            return None
        if record.network_overdue is None:
            record.network_overdue = now + _NETWORK_PATIENCE
        elif now >= record.network_overdue:
            record.network_overdue = now + _NETWORK_PATIENCE
            message = (
                f"the flows of node {self._node.name} do not include this pod yet after "
                f"{_NETWORK_PATIENCE.total_seconds():g} s; `kubinet status` shows whether the controller runs"
            )
            _LOG.warning(
                "pod %s waits for generation %s, node %s has %d",
                _name(record), record.published, self._node.name, realised,
            )  # fmt: skip
            self._tell(record, "Warning", "NetworkNotReady", message)
        return record.network_overdue

    def _write_status(self, record: Record, decided: Plan, now: datetime) -> list[datetime]:
        """Write the status where the API has another; returns when to try again after a failure."""
        pod = record.pod
        if pod is None or pod.ended or record.published is None:
            return []
        _, previous = self._tools.runtime.containers(record.uid)
        address = self._node.underlay.ip if pod.host_network else self._pool.address_of(record.uid)
        told = Told(self._node.underlay.ip, address, record.problems, previous)
        status = pod_status(pod, self._actual(record), decided, told, now)
        stale = record.written is not None and pod.version < record.written_version
        if not differs(status, record.written if stale and record.written else pod.wire.get("status") or {}):
            return []
        try:
            patched = self._client.patch(
                "Pod", pod.name, {"status": status_patch(status)}, pod.namespace, type="strategic", subresource="status"
            )
        except ApiError as error:
            if error.status != 404:
                _LOG.warning("node %s: pod %s: status: %s", self._node.name, pod.key, error)
                return [now + timedelta(seconds=1)]
            return []
        record.written, record.written_version = status, int(patched["metadata"]["resourceVersion"])
        return []

    def _tell_once(self, record: Record, severity: Severity, reason: str, message: str) -> None:
        if message not in record.told:
            record.told.add(message)
            self._tell(record, severity, reason, message)

    def _tell(self, record: Record, severity: Severity, reason: str, message: str, container: str = "") -> None:
        if record.pod is not None:
            self._tools.events.tell(record.pod.subject(container), self._node.name, severity, reason, message)


def _deleting(obj: Mapping[str, Any]) -> bool:
    return bool(obj["metadata"].get("deletionTimestamp"))


def _keeps_logs(record: Record) -> bool:
    return record.pod is not None and record.pod.ended and not record.pod.deleting


def _name(record: Record) -> str:
    return record.pod.key if record.pod is not None else record.uid
