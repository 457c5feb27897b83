"""`kubinet link`: tables of links."""

from typing import Any

from kubinet.cli import linktables

LINK: dict[str, Any] = {
    "name": "n1-s1",
    "wire": "veth",
    "rate": 100e6,
    "delay": 0.002,
    "loss": 0.001,
    "ends": [{"interface": "n1-eth0"}, {"interface": "s1-eth0"}],
}


def test_what_links_declare() -> None:
    """In the units of Topology files; what a link does not limit is said so."""
    plain = LINK | {"name": "n2-s1", "rate": None, "delay": 0.0, "loss": 0.0}
    assert linktables.declared([LINK, plain]).splitlines() == [
        "NAME    RATE        DELAY   LOSS   WIRE   INTERFACES",
        "n1-s1   100mbit     2ms     0.1%   veth   n1-eth0 ~ s1-eth0",
        "n2-s1   unlimited   -       -      veth   n1-eth0 ~ s1-eth0",
    ]


def test_what_links_measure() -> None:
    """A line for each direction, and below what is not as declared; where nothing came, there is no delay."""
    there = {"source": "n1", "target": "s1", "rate": 94.98e6, "delay_median": 0.00201, "jitter": 1e-5, "loss": 0.0012}
    back = {"source": "s1", "target": "n1", "rate": None, "delay_median": None, "jitter": 0.0, "loss": 1.0}
    checks = [
        {"source": "n1", "target": "s1", "kept": True},
        {"source": "s1", "target": "n1", "kept": False},
    ]
    link = LINK | {"directions": [there, back], "checks": checks, "problems": ["link 'n1-s1' from 's1' to 'n1': lost"]}
    assert linktables.measured([link]).splitlines() == [
        "NAME    FROM   TO   RATE        DELAY     JITTER    LOSS    AS DECLARED",
        "n1-s1   n1     s1   94.98mbit   2.010ms   0.010ms   0.12%   yes",
        "n1-s1   s1     n1   -           -         0.000ms   100%    no",
        "",
        "link 'n1-s1' from 's1' to 'n1': lost",
    ]
