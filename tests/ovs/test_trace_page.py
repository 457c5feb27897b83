"""docs/trace.md shows what `kubinet trace` prints."""

from pathlib import Path

import pytest
from trace_page import PAGE, page, state
from walking import WalkedCluster

pytestmark = pytest.mark.ovs


def test_the_pages_examples_are_what_is_printed(tmp_path: Path) -> None:
    """docs/trace.md is what `python tests/ovs/trace_page.py` writes."""
    walked = WalkedCluster(tmp_path, state())
    try:
        text = PAGE.read_text()
        assert page(text, walked) == text
    finally:
        walked.close()
    assert "Decided by: NetworkPolicy/shop/deny-all" in text
