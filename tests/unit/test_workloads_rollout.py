"""A Deployment's rollout: what is decided from one state, and that repeated steps always arrive."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.workloads.rollout import Plan, Scale, SetState, plan, rescale, roll, scaling_needed, surplus_sets, total


def one(name: str, replicas: int, available: int | None = None, **facts: object) -> SetState:
    created = str(facts.pop("created", "2026-01-01T00:00:00Z"))
    known = replicas if available is None else available
    return replace(SetState(name, created, replicas, replicas, known, known), **facts)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("replicas", "surge", "unavailable", "wanted"),
    [
        (10, "25%", "25%", Plan(10, True, 3, 2)),
        (4, "25%", "25%", Plan(4, True, 1, 1)),
        (1, "25%", "25%", Plan(1, True, 1, 0)),
        (3, 0, 0, Plan(3, True, 0, 1)),
        (3, "0%", "10%", Plan(3, True, 0, 1)),
        (3, 2, 5, Plan(3, True, 2, 3)),
        (0, "25%", 1, Plan(0, True, 0, 0)),
        (1000, "100%", "0%", Plan(1000, True, 1000, 0)),
    ],
)
def test_percentages(replicas: int, surge: int | str, unavailable: int | str, wanted: Plan) -> None:
    """Surge is rounded up, unavailable down and at most all; where both come to 0, one pod may be unavailable."""
    assert plan(replicas, rolling=True, surge=surge, unavailable=unavailable) == wanted


def test_the_new_set_grows_first() -> None:
    """A rolling update fills the surge before old pods go."""
    assert roll(Plan(10, True, 3, 2), one("new", 0), [one("old", 10)]) == [Scale("new", 3)]


def test_old_sets_shrink_by_what_may_be_missing() -> None:
    """Without room for new pods the oldest set loses what minAvailable leaves over."""
    old = [one("b", 4, created="2026-01-02T00:00:00Z"), one("a", 4, created="2026-01-01T00:00:00Z")]
    assert roll(Plan(10, True, 3, 2), one("new", 5, 2), old) == [Scale("a", 2)]


def test_unavailable_old_pods_go_first() -> None:
    """Old pods that are not available are removed even when they belong to the younger set."""
    old = [one("a", 5, 5), one("b", 5, 0, created="2026-01-02T00:00:00Z")]
    assert roll(Plan(10, True, 0, 2), one("new", 0), old) == [Scale("b", 3)]


def test_a_finished_rollout_changes_nothing() -> None:
    """All replicas new and no old ones: no scaling."""
    assert roll(Plan(3, True, 1, 1), one("new", 3), [one("old", 0)]) == []


def test_scaling_in_the_midst_of_a_rollout_is_proportional() -> None:
    """10 replicas with surge 3 split 8 and 5 become 15: the added five are shared 3 to 2 (the documentation's case)."""
    wanted = Plan(15, True, 3, 2)
    new, old = one("new", 5, desired=10, limit=13), one("old", 8, desired=10, limit=13)
    assert scaling_needed(wanted, [new, old])
    assert rescale(wanted, new, [old]) == [Scale("old", 11), Scale("new", 7)]


def test_scaling_the_only_active_set() -> None:
    """Without a rollout under way the active set, or else the newest, gets all replicas."""
    assert rescale(Plan(7), one("new", 3), [one("old", 0)]) == [Scale("new", 7)]
    assert rescale(Plan(7), one("new", 0), [one("old", 3)]) == [Scale("old", 7)]
    old = [one("a", 0), one("b", 0, created="2026-01-02T00:00:00Z")]
    assert rescale(Plan(7), None, old) == [Scale("b", 7)]


def test_scaling_to_zero_empties_all_sets() -> None:
    """A Deployment of 0 replicas leaves no pods, in a rollout too."""
    sizes = rescale(Plan(0, True), one("new", 2, desired=4, limit=5), [one("old", 3, desired=4, limit=5)])
    assert sorted((scale.name, scale.replicas) for scale in sizes) == [("new", 0), ("old", 0)]


def test_history_keeps_the_newest_unused_sets() -> None:
    """Beyond revisionHistoryLimit the oldest revisions go, but none that has pods or is not observed."""
    old = [one(f"r{number}", 0, revision=number) for number in (3, 1, 2, 5)] + [one("busy", 1, revision=0)]
    assert surplus_sets(old, 2) == ["r1", "r2"]
    assert surplus_sets([replace(entry, observed=False) for entry in old], 2) == []
    assert surplus_sets(old, None) == []


amounts = st.one_of(st.integers(0, 6), st.integers(0, 100).map(lambda share: f"{share}%"))
sizes = st.integers(0, 12)


@st.composite
def states(draw: st.DrawFn) -> tuple[Plan, SetState, list[SetState]]:
    wanted = plan(draw(sizes), rolling=True, surge=draw(amounts), unavailable=draw(amounts))
    sets = []
    for index in range(draw(st.integers(1, 4))):
        replicas = draw(sizes)
        created = f"2026-01-0{index + 1}T00:00:00Z"
        sets.append(one(f"s{index}", replicas, draw(st.integers(0, replicas)), created=created))
    return wanted, sets[-1], sets[:-1]


@given(states(), st.randoms(use_true_random=False))
def test_every_rollout_arrives_within_its_bounds(start: tuple[Plan, SetState, list[SetState]], random: object) -> None:
    """From any state: never more pods than replicas and surge unless there were, never fewer available ones than
    promised unless there were, and once pods get ready the new set has all replicas."""
    wanted, new, old = start
    sets = {entry.name: entry for entry in (new, *old)}
    for _ in range(200):
        before = list(sets.values())
        scales = roll(wanted, sets[new.name], [sets[entry.name] for entry in old])
        for scale in scales:
            present = sets[scale.name]
            available = min(present.available, scale.replicas)  # a set deletes its unavailable pods first
            sets[scale.name] = replace(present, replicas=scale.replicas, actual=scale.replicas, available=available)
        after = list(sets.values())
        assert total(after) <= max(total(before), wanted.limit)
        available_before, available_after = (sum(entry.available for entry in known) for known in (before, after))
        assert available_after >= min(available_before, wanted.least)
        waiting = [entry for entry in after if entry.available < entry.replicas]
        if not scales and not waiting:
            break
        for entry in waiting[:1]:
            sets[entry.name] = replace(entry, available=entry.available + 1)
    assert sets[new.name].replicas == wanted.replicas
    assert [sets[entry.name].replicas for entry in old] == [0] * len(old)


@given(states())
def test_rescaling_never_exceeds_the_limit(start: tuple[Plan, SetState, list[SetState]]) -> None:
    """Whatever the sets were sized for, their new sizes come to replicas and surge, and none is negative."""
    wanted, new, old = start
    scales = rescale(wanted, new, old)
    assert all(scale.replicas >= 0 for scale in scales)
    if len([entry for entry in (new, *old) if entry.replicas]) > 1 and len(scales) > 1:
        assert sum(scale.replicas for scale in scales) in (wanted.limit if wanted.replicas else 0, 0)
