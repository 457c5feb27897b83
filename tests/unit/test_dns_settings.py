"""What the DNS server is told (resolv.conf, ConfigMap), and what it keeps of other servers' answers."""

from ipaddress import IPv4Address, IPv4Network

import pytest
from dns.name import from_text
from dns.rcode import NOERROR, NXDOMAIN, SERVFAIL, Rcode
from dns.rdatatype import A
from dns.rrset import RRset
from dns.rrset import from_text as rrset
from hypothesis import given
from hypothesis import strategies as st

from agents.dns.answer import Content
from agents.dns.cache import Cache, lifetime
from agents.dns.names import IN_ADDR, key_of, reverse_key, reverse_zones
from agents.dns.settings import Forwarding, Server, SettingsError, forwarding, nameservers

OWN = [(b"cluster", b"local"), (b"96", b"10", *IN_ADDR)]
DEFAULT = (Server(IPv4Address("192.0.2.53")),)
ASKED = key_of(from_text("www.example.")), A
SOA = "ns.example. hostmaster.example. 1 2 3 4 {}"


def record(ttl: int) -> RRset:
    return rrset("www.example.", ttl, "IN", "A", "192.0.2.80")


def soa(ttl: int, minimum: int) -> RRset:
    return rrset("example.", ttl, "IN", "SOA", SOA.format(minimum))


def test_nameservers_are_those_of_resolv_conf() -> None:
    """At most three, IPv4 ones; anything else in the file is not for the server."""
    text = "# c\nsearch x\nnameserver 192.0.2.1\nnameserver ::1\nnameserver 192.0.2.2 \nnameserver\noptions ndots:5\n"
    more = "nameserver 192.0.2.3\nnameserver 192.0.2.4\n"
    expected = ["192.0.2.1:53", "192.0.2.2:53", "192.0.2.3:53"]
    assert [str(server) for server in nameservers(text + more)] == expected


def test_the_config_map_has_kube_dns_keys() -> None:
    """`upstreamNameservers` replaces resolv.conf's; `stubDomains` gives zones servers of their own."""
    data = {
        "upstreamNameservers": '["192.0.2.1", "192.0.2.2:5353"]',
        "stubDomains": '{"Corp.Example.": ["192.0.2.3"], "168.192.in-addr.arpa": ["192.0.2.4"]}',
    }
    found = forwarding(data, DEFAULT, OWN)
    assert found == Forwarding(
        (Server(IPv4Address("192.0.2.1")), Server(IPv4Address("192.0.2.2"), 5353)),
        (
            ((b"corp", b"example"), (Server(IPv4Address("192.0.2.3")),)),
            ((b"168", b"192", *IN_ADDR), (Server(IPv4Address("192.0.2.4")),)),
        ),
    )
    assert str(found.servers((b"a", b"corp", b"example"))[0]) == "192.0.2.3:53"
    assert str(found.servers((b"xcorp", b"example"))[0]) == "192.0.2.1:53"
    assert forwarding({}, DEFAULT, OWN) == Forwarding(DEFAULT)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"upstreamNameservers": "192.0.2.1"}, "upstreamNameservers: not JSON"),
        ({"upstreamNameservers": '{"a": 1}'}, "upstreamNameservers: must be a JSON list of addresses"),
        ({"upstreamNameservers": '["isp.example"]'}, "upstreamNameservers: 'isp.example' is no IPv4 address"),
        ({"upstreamNameservers": '["192.0.2.1:70000"]'}, "upstreamNameservers: '192.0.2.1:70000' has no valid port"),
        ({"stubDomains": "[]"}, "stubDomains: must be a JSON object"),
        (
            {"stubDomains": '{"a.cluster.local": ["192.0.2.1"]}'},
            "stubDomains: 'a.cluster.local' belongs to the cluster",
        ),
        ({"stubDomains": '{".": ["192.0.2.1"]}'}, "stubDomains: '.' belongs to the cluster or is the root"),
        ({"stubDomains": '{"corp.example": []}'}, "stubDomains: 'corp.example' has no servers"),
        ({"stubDomains": '{"corp.example": "192.0.2.1"}'}, "stubDomains.corp.example: must be a JSON list"),
    ],
)
def test_settings_that_cannot_be_followed_are_named(data: dict[str, str], words: str) -> None:
    """The error names the key and what is wrong with it."""
    with pytest.raises(SettingsError, match="^" + words.replace(".", r"\.").replace("'", "'")):
        forwarding(data, DEFAULT, OWN)


@pytest.mark.slow
@given(st.integers(0, 2**32 - 1), st.integers(1, 32))
def test_the_reverse_zones_of_a_network_hold_exactly_its_addresses(bits: int, length: int) -> None:
    """First and last address are in one of the zones, their neighbours outside are in none."""
    network = IPv4Network((bits, length), strict=False)
    zones = set(reverse_zones(network))
    assert len(zones) <= 128

    def held(address: int) -> bool:
        key = reverse_key(IPv4Address(address))
        return any(key[cut:] in zones for cut in range(len(key) + 1))

    first, last = int(network[0]), int(network[-1])
    assert held(first)
    assert held(last)
    assert first == 0 or not held(first - 1)
    assert last == 2**32 - 1 or not held(last + 1)


@pytest.mark.parametrize(
    ("rcode", "answer", "authority", "seconds"),
    [
        (NOERROR, [record(20)], [], 20),
        (NOERROR, [record(300)], [], 30),
        (NOERROR, [record(0)], [], 0),
        (NXDOMAIN, [], [soa(300, 7)], 7),
        (NXDOMAIN, [], [soa(4, 7)], 4),
        (NXDOMAIN, [], [], 0),
        (NOERROR, [], [soa(300, 300)], 30),
        (NOERROR, [], [], 0),
        (SERVFAIL, [], [soa(300, 7)], 0),
    ],
)
def test_answers_are_kept_as_long_as_their_records_allow(
    rcode: Rcode, answer: list[RRset], authority: list[RRset], seconds: int
) -> None:
    """The lowest TTL, for denials the SOA's minimum too (RFC 2308), 30 s at most; failures are not kept."""
    assert lifetime(Content(rcode, tuple(answer), tuple(authority))) == seconds


def test_a_kept_answer_grows_old() -> None:
    """Its TTL falls second by second; when the time is over it is asked for again."""
    cache = Cache()
    cache.put(ASKED, Content(NOERROR, (record(300),)), 100.0)
    found = cache.get(ASKED, 112.7)
    assert found is not None
    assert found.answer[0].ttl == 18
    assert cache.get(ASKED, 130.0) is None
    assert len(cache) == 0


def test_the_cache_is_bounded() -> None:
    """The entry that was longest unused goes first."""
    cache = Cache(entries=2)
    keys = [(key_of(from_text(f"{name}.example.")), A) for name in "abc"]
    for key in keys[:2]:
        cache.put(key, Content(NOERROR, (record(30),)), 0.0)
    assert cache.get(keys[0], 1.0) is not None
    cache.put(keys[2], Content(NOERROR, (record(30),)), 1.0)
    assert [cache.get(key, 2.0) is not None for key in keys] == [True, False, True]
