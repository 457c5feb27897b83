"""Why a capture cannot begin, from what the capturing program said."""

import pytest

from kubinet.capturing import refusal


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("tcpdump: can't parse filter expression: syntax error\n", "can't parse filter expression: syntax error"),
        (
            "tcpdump: WARNING: n1-eth0: no IPv4 address assigned\ntcpdump: BIOCSETF: Invalid argument\n",
            "BIOCSETF: Invalid argument",
        ),
        (
            "Capturing on 'n1-eth0'\ndumpcap: Invalid capture filter \"udp prt\" for interface 'n1-eth0'.\n\n"
            "That string isn't a valid capture filter (can't parse filter expression: syntax error).\n"
            "See the User's Guide for a description of the capture filter syntax.\n",
            "Invalid capture filter \"udp prt\" for interface 'n1-eth0'. "
            "That string isn't a valid capture filter (can't parse filter expression: syntax error).",
        ),
        (
            "Capturing on 'x'\ndumpcap: There is no device named \"x\".\n(No such device exists)\n",
            'There is no device named "x". (No such device exists)',
        ),
        ("something else\nat last\n", "at last"),
        ("", ""),
    ],
    ids=["filter", "warning first", "dumpcap's filter", "dumpcap's device", "unnamed", "nothing"],
)
def test_the_program_is_quoted_without_its_name_and_advice(said: str, words: str) -> None:
    """What it said last under its own name, in one line."""
    assert refusal(said) == words
