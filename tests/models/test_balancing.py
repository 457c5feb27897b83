"""The load-balancing algorithms as flows and groups: shape, size, and what changes when an endpoint leaves."""

from collections import Counter
from dataclasses import dataclass, replace
from ipaddress import IPv4Address
from itertools import islice

import pytest
from balancing_numbers import MOST_CHANGED, WORST_SHARE

from controller.features import balancing
from controller.features.balancing import Backends, backends_id
from controller.features.common import BridgeFlow
from controller.openflow.actions import Action, Goto, Learn, Multipath, Resubmit, SetField, ToController, ToGroup
from controller.openflow.encode import add_flow, bundle_add, put_group
from controller.openflow.flow import Bucket, Flow, FlowKey, Group, Owner
from controller.pipeline import AFFINITY_LEARN, ENDPOINT_CHOICE, ENDPOINT_DNAT, ENDPOINT_SLOT, SESSION_AFFINITY
from kubinet.state import Algorithm, Endpoint
from kubinet.transport import Protocol

COUNTS = [2, 3, 10, 63, 65, 600, 10_000]
BY_CLIENT = (Algorithm.HASH, Algorithm.SOURCE_HASH)
BY_WEIGHT = (Algorithm.WEIGHTED, Algorithm.LEAST_CONNECTIONS)
LIMIT = 65_535


def ends(count: int) -> tuple[Endpoint, ...]:
    first = IPv4Address("10.244.0.0")
    return tuple(Endpoint(first + 256 * (index // 250) + index % 250 + 2, 8080) for index in range(count))


def backends(algorithm: Algorithm, endpoints: tuple[Endpoint, ...], **options: object) -> Backends:
    return Backends(77, Owner("Service", "web", "d"), Protocol.TCP, endpoints, algorithm, **options)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Made:
    """All that a set of endpoints needs on a node."""

    entry: tuple[Action, ...]
    flows: dict[FlowKey, Flow]
    groups: dict[int, Group]
    order: tuple[tuple[IPv4Address, int], ...]

    def table(self, number: int) -> list[Flow]:
        return [flow for flow in self.flows.values() if flow.table == number]


def make(one: Backends) -> Made:
    flows: list[BridgeFlow] = list(balancing.flows(one))
    table = balancing.slot_table(one)
    order = tuple((end.address, end.port) for end in table or ())
    made = {flow.key: flow for _, flow in flows}
    assert len(made) == len(flows)
    return Made(balancing.entry(one), made, {group.id: group for group in balancing.groups(one)}, order)


def messages(made: Made) -> list[bytes]:
    """All kinds of messages, encoded as parts of a bundle; an over-long message would be a ValueError."""
    some = islice(made.flows.values(), 1000)  # all slots' flows are alike
    parts = [add_flow(flow, 1, 5) for flow in some] + [put_group(one, 5) for one in made.groups.values()]
    return [bundle_add(1, part) for part in parts]


def leaves(one: Backends, index: int) -> tuple[Made, Made]:
    """Before and after an endpoint leaves."""
    before = make(one)
    rest = (*one.endpoints[:index], *one.endpoints[index + 1 :])
    return before, make(replace(one, endpoints=rest, previous=before.order))


def changed(before: Made, after: Made) -> int:
    """Flows that are added, replaced or deleted; the entry is one of them."""
    keys = before.flows.keys() | after.flows.keys()
    beyond = sum(before.flows.get(key) != after.flows.get(key) for key in keys)
    return beyond + (before.entry != after.entry)


def shape(algorithm: Algorithm, count: int) -> tuple[int, int]:
    """Slots and groups that the algorithm has for so many endpoints."""
    if algorithm is Algorithm.ROUND_ROBIN:
        return 0, 0
    if algorithm is Algorithm.MAGLEV or (algorithm in BY_WEIGHT and count > 64):
        return {2: 251, 3: 251, 10: 251, 63: 251, 65: 251, 600: 4093, 10_000: 65521}[count], 0
    grouped = count <= (512 if algorithm in BY_CLIENT else 64)
    return (0, 1) if grouped else (count, 0)


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("algorithm", list(Algorithm))
def test_every_algorithm_for_any_number_of_endpoints_is_flows_and_groups_that_fit(
    algorithm: Algorithm, count: int
) -> None:
    """A group, a slot table or the controller chooses; every message is below 64 KiB and names every endpoint."""
    made = make(backends(algorithm, ends(count)))
    size, groups = shape(algorithm, count)
    assert (len(made.table(ENDPOINT_SLOT.number)), len(made.groups)) == (size, groups)
    assert len(made.flows) == size
    last = made.entry[-1]
    if size:
        assert made.entry[-2:] == (replace(_multipath(made), count=size), Goto(ENDPOINT_SLOT.number))
        assert {flow.actions[-1] for flow in made.flows.values()} == {Goto(ENDPOINT_DNAT.number)}
        assert set(made.order) == {(end.address, end.port) for end in ends(count)}
    elif groups:
        assert last == ToGroup(77)
        assert {_address(bucket) for bucket in made.groups[77].buckets} == {int(end.address) for end in ends(count)}
        assert {bucket.actions[-1] for bucket in made.groups[77].buckets} == {Resubmit(ENDPOINT_DNAT.number)}
    else:
        assert last == ToController(b"\x03\x00\x00\x00\x4d")
    assert max(map(len, messages(made)), default=0) <= LIMIT


def _multipath(made: Made) -> Multipath:
    return next(action for action in made.entry if isinstance(action, Multipath))


def _address(bucket: Bucket) -> int:
    first = bucket.actions[0]
    assert isinstance(first, SetField)
    return first.term.value


@pytest.mark.parametrize("count", [3, 10, 63, 65, 600])
@pytest.mark.parametrize("algorithm", list(Algorithm))
def test_an_endpoint_that_leaves_costs_few_flows_and_at_most_one_group(algorithm: Algorithm, count: int) -> None:
    """Whichever it is: the first, one in the middle, or the last."""
    most = MOST_CHANGED[algorithm].get(count, 0)
    for index in (0, count // 2, count - 1):
        before, after = leaves(backends(algorithm, ends(count)), index)
        assert changed(before, after) <= most
        groups = before.groups.keys() | after.groups.keys()
        assert sum(before.groups.get(key) != after.groups.get(key) for key in groups) <= 1


def test_one_of_ten_thousand_endpoints_costs_three_flows() -> None:
    """The entry, the slot that the last one takes, and the last slot."""
    before, after = leaves(backends(Algorithm.RANDOM, ends(10_000)), 5000)
    assert changed(before, after) == 3


@pytest.mark.parametrize("algorithm", list(Algorithm))
def test_an_endpoint_that_comes_back_costs_no_more(algorithm: Algorithm) -> None:
    """600 endpoints, one leaves and comes back: as many flows at most as for leaving."""
    one = backends(algorithm, ends(600))
    _, after = leaves(one, 300)
    again = make(replace(one, previous=after.order))
    assert changed(after, again) <= MOST_CHANGED[algorithm].get(600, 0)


@pytest.mark.parametrize("algorithm", BY_CLIENT)
def test_buckets_of_hashing_groups_keep_their_ids(algorithm: Algorithm) -> None:
    """The id is of the endpoint: when one leaves its bucket goes, and the others are what they were, on all nodes."""
    before, after = leaves(backends(algorithm, ends(500)), 250)
    (gone,) = set(before.groups[77].buckets) - set(after.groups[77].buckets)
    assert set(after.groups[77].buckets) < set(before.groups[77].buckets)
    assert _address(gone) == int(ends(500)[250].address)
    ids = [bucket.id for bucket in before.groups[77].buckets]
    assert len(set(ids)) == 500
    assert max(ids) < 0xFFFFFF00  # OpenFlow reserves the numbers above


def weights_of(made: Made) -> Counter[int]:
    """Shares of the group's choice by endpoint; Open vSwitch makes sum / smallest slots of a dp_hash group."""
    total: Counter[int] = Counter()
    for bucket in made.groups[77].buckets:
        total[_address(bucket) - int(ends(1)[0].address)] += bucket.weight
    return total


@pytest.mark.parametrize("count", WORST_SHARE)
def test_a_group_that_selects_by_the_datapaths_hash_has_nearly_equal_shares(count: int) -> None:
    """64 slots for up to eight endpoints, 256 for more; one bucket of weight 1 makes Open vSwitch take so many."""
    made = make(backends(Algorithm.RANDOM, ends(count)))
    shares = weights_of(made)
    assert max(shares.values()) / min(shares.values()) <= WORST_SHARE[count]
    total, smallest = sum(shares.values()), min(bucket.weight for bucket in made.groups[77].buckets)
    assert total / smallest in ({count} if len(set(shares.values())) == 1 else {64, 256})


def test_weights_are_kept_to_one_slot() -> None:
    """Weight 0 gets nothing, weights 1, 2 and 5 an eighth, a quarter and five eighths of 64."""
    some = tuple(replace(end, weight=weight) for end, weight in zip(ends(4), (1, 0, 2, 5), strict=True))
    assert weights_of(make(backends(Algorithm.WEIGHTED, some))) == {0: 8, 2: 16, 3: 40}
    many = tuple(replace(end, weight=index % 3) for index, end in enumerate(ends(90)))
    held = Counter(make(backends(Algorithm.WEIGHTED, many)).order)
    assert len(held) == 60
    assert {held[end.address, end.port] for end in many if end.weight == 1} <= {11, 12}
    assert {held[end.address, end.port] for end in many if end.weight == 2} <= {22, 23}


def test_when_all_weights_are_0_all_endpoints_serve_alike() -> None:
    """A Service whose weights are all 0 works as one without weights."""
    none = tuple(replace(end, weight=0) for end in ends(10))
    equal = make(backends(Algorithm.WEIGHTED, ends(10)))
    assert make(backends(Algorithm.WEIGHTED, none)) == equal


def test_one_weight_above_0_takes_everything() -> None:
    """The group has one endpoint, whose bucket is split so that Open vSwitch accepts it."""
    some = (*(replace(end, weight=0) for end in ends(3)), replace(ends(4)[3], weight=7))
    assert weights_of(make(backends(Algorithm.WEIGHTED, some))).keys() == {3}


def test_least_connections_prefers_whom_fewer_connections_are_open_to() -> None:
    """Shares are as 1 / (1 + connections); before the first report all are alike."""
    counts = {(end.address, end.port): number for end, number in zip(ends(3), (0, 1, 3), strict=True)}
    assert weights_of(make(backends(Algorithm.LEAST_CONNECTIONS, ends(3), connections=counts))) == {0: 37, 1: 18, 2: 9}
    equal = make(backends(Algorithm.RANDOM, ends(3)))
    assert make(backends(Algorithm.LEAST_CONNECTIONS, ends(3))) == equal
    many = {(end.address, end.port): 9 * (index == 0) for index, end in enumerate(ends(100))}
    held = Counter(make(backends(Algorithm.LEAST_CONNECTIONS, ends(100), connections=many)).order)
    assert held[ends(1)[0].address, 8080] == 1
    assert set(held.values()) == {1, 10, 11}


def test_a_report_of_connections_changes_only_slots_that_must() -> None:
    """Of 600 endpoints one gets busy: its slots but one go to others."""
    quiet = backends(Algorithm.LEAST_CONNECTIONS, ends(600), connections={})
    before = make(quiet)
    busy = replace(quiet, connections={(ends(1)[0].address, 8080): 50}, previous=before.order)
    assert changed(before, make(busy)) == Counter(before.order)[ends(1)[0].address, 8080] - 1 == 6


@pytest.mark.parametrize("count", [2, 10, 65, 600])
@pytest.mark.parametrize("algorithm", list(Algorithm))
def test_session_affinity_remembers_the_endpoint_whatever_the_algorithm(algorithm: Algorithm, count: int) -> None:
    """Looked up first; kept while the endpoint is one of the set; else chosen by the client's address and learned."""
    made = make(backends(algorithm, ends(count), affinity_seconds=600))
    assert made.entry[1:] == (Resubmit(SESSION_AFFINITY.number), Goto(ENDPOINT_CHOICE.number))
    choices = made.table(ENDPOINT_CHOICE.number)
    assert len(choices) == count + 1
    assert sum(flow.actions == (Goto(ENDPOINT_DNAT.number),) for flow in choices) == count
    (learning,) = made.table(AFFINITY_LEARN.number)
    (learn,) = (action for action in learning.actions if isinstance(action, Learn))
    assert (learn.table, learn.idle_seconds, learn.cookie >> 48) == (SESSION_AFFINITY.number, 600, 0xFFFF)
    assert [field.name for field in learn.equal] == ["nw_src", "reg7"]
    if count <= 512:
        group = made.groups[77]
        assert [field.name for field in group.selection.fields] == ["nw_src"]  # type: ignore[union-attr]
        assert {bucket.actions[-1] for bucket in group.buckets} == {Resubmit(AFFINITY_LEARN.number)}
    else:
        assert len(made.table(ENDPOINT_SLOT.number)) == count
        assert {flow.actions[-1] for flow in made.table(ENDPOINT_SLOT.number)} == {Goto(AFFINITY_LEARN.number)}
    assert max(map(len, messages(made))) <= LIMIT


@pytest.mark.parametrize("algorithm", list(Algorithm))
def test_session_affinity_above_65535_seconds_keeps_to_the_clients_address_alone(algorithm: Algorithm) -> None:
    """OpenFlow's time-outs have 16 bits: nothing is learned, the choice is that of `source-hash`."""
    longest = make(backends(algorithm, ends(10), affinity_seconds=65_535))
    assert longest.table(AFFINITY_LEARN.number)
    longer = make(backends(algorithm, ends(10), affinity_seconds=65_536))
    assert longer == make(backends(Algorithm.SOURCE_HASH, ends(10)))


def test_ids_of_sets_are_valid_group_numbers_and_differ() -> None:
    """Never 0 and below OpenFlow's reserved numbers (OFPG_MAX is 0xffffff00)."""
    ids = {backends_id(f"d/s{index}|http|TCP|cluster") for index in range(5000)}
    assert len(ids) == 5000
    assert min(ids) > 0
    assert max(ids) <= 0xFFFFFEFF
