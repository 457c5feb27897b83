"""Which changes of pods the DNS server takes in."""

from typing import Any

from agents.dns.podnews import PodNews


def pod(name: str = "a", address: str = "10.244.1.2", **status: str) -> dict[str, Any]:
    return {"metadata": {"namespace": "default", "name": name}, "status": {"podIP": address, **status}}


def test_a_pod_matters_when_it_gets_its_address_and_not_when_it_becomes_ready() -> None:
    """Without an address, with one, Pending, Running: only the second has a new name."""
    changes = [pod(address=""), pod(), pod(phase="Pending"), pod(phase="Running")]
    news = PodNews()
    assert [news.matters("MODIFIED", one) for one in changes] == [False, True, False, False]


def test_a_pod_matters_when_its_name_ends() -> None:
    """An end, a deletion after it, a deletion without it, another address."""
    news = PodNews()
    told = [
        ("ADDED", pod()),
        ("MODIFIED", pod(phase="Succeeded")),
        ("DELETED", pod(phase="Succeeded")),
        ("ADDED", pod()),
        ("DELETED", pod()),
        ("ADDED", pod()),
        ("MODIFIED", pod(address="10.244.1.3")),
    ]
    assert [news.matters(*one) for one in told] == [True, True, False, True, True, True, True]


def test_a_list_replaces_what_was_told() -> None:
    """A listed pod is known; one that was known and is not in the list is new when it comes again."""
    news = PodNews()
    news.matters("ADDED", pod("gone"))
    news.listed([pod("here")])
    assert [news.matters("MODIFIED", pod(name)) for name in ("here", "gone")] == [False, True]


def test_what_cannot_be_read_is_left_to_the_reader() -> None:
    """A pod without metadata matters: the zone's keeper says what is wrong with it."""
    assert PodNews().matters("ADDED", {"status": {}})


def test_a_pod_that_could_not_be_read_is_news_when_it_can_again() -> None:
    """Its name was taken away with the change that nobody could read."""
    news = PodNews()
    changes = [pod(), pod(address="somewhere"), pod()]
    assert [news.matters("MODIFIED", one) for one in changes] == [True, True, True]
