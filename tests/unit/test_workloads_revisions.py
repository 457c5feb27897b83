"""Revisions: which templates are the same, and how sets are numbered."""

from typing import Any

import pytest

from controller.workloads.revisions import (
    HISTORY,
    REVISION,
    canonical,
    find_new,
    next_revision,
    set_annotations,
    template_hash,
)


def template(image: str = "i", **container: Any) -> dict[str, Any]:
    return {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": image, **container}]}}


@pytest.mark.parametrize(
    "same",
    [
        {"args": []},
        {"tty": False},
        {"env": []},
        {"workingDir": ""},
    ],
)
def test_what_go_clients_leave_out_makes_no_other_template(same: dict[str, Any]) -> None:
    """A template that a Go client sends back without its zero values is the same; `rollout undo` does that."""
    assert canonical(template()) == canonical(template(**same))
    hashed = template()
    hashed["metadata"]["labels"]["pod-template-hash"] = "x"
    assert canonical(hashed) == canonical(template())


@pytest.mark.parametrize(
    "other",
    [{"image": "j"}, {"args": ["x"]}, {"tty": True}, {"securityContext": {"runAsNonRoot": False}}, {"stdin": True}],
)
def test_changes_make_another_template(other: dict[str, Any]) -> None:
    """Every change that makes other pods counts, a false that is meant too."""
    one, two = canonical(template()), canonical(template(**other))
    assert one != two
    assert template_hash(one) != template_hash(two)


def test_the_hash_is_stable_and_avoids_collisions() -> None:
    """The same template has the same hash in every run; each collision gives another."""
    assert template_hash(b"x") == "scccffr7sj"
    assert len({template_hash(b"x", number) for number in range(50)}) == 50


def test_numbering() -> None:
    """The new set gets one more than the old ones have, and remembers the number that it had before."""
    old = [{"metadata": {"annotations": {REVISION: text}}} for text in ("3", "11")] + [{"metadata": {}}]
    assert next_revision(old) == 12
    deployment = {"metadata": {"annotations": {"kubernetes.io/change-cause": "x", REVISION: "9"}}}
    assert set_annotations({}, deployment, 1) == {"kubernetes.io/change-cause": "x", REVISION: "1"}
    again = set_annotations({REVISION: "2", HISTORY: "1"}, deployment, 5)
    assert again == {"kubernetes.io/change-cause": "x", REVISION: "5", HISTORY: "1,2"}
    assert set_annotations(again, deployment, 5) == again


def test_of_equal_sets_the_oldest_is_the_new_one() -> None:
    """Where two sets have the Deployment's template, the older one is taken."""
    sets = [
        {"metadata": {"name": name, "creationTimestamp": created}, "spec": {"template": template()}}
        for name, created in (("b", "2026-01-02T00:00:00Z"), ("a", "2026-01-01T00:00:00Z"))
    ]
    found = find_new(canonical(template()), sets)
    assert found is not None
    assert found["metadata"]["name"] == "a"
    assert find_new(canonical(template("j")), sets) is None
