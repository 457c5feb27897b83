"""docs/faults.md says what the code does."""

import re
from pathlib import Path

from experiments.timeline.actions import SUBJECTS
from experiments.timeline.docs import PAGE, with_table
from experiments.timeline.language import parse_action, parse_event
from experiments.timeline.verbs import SERVICES

TEXT = PAGE.read_text()


def test_the_table_of_faults_is_the_codes() -> None:
    """`make docs` would change nothing."""
    assert with_table(TEXT) == TEXT


def test_the_pages_lines_are_of_the_language() -> None:
    """Every line that the page shows in its examples can be read."""
    timed = re.findall(r"[\"'`]((?:at|from) \d[^\"'`\n]*: [^\"'`\n]+)[\"'`]", TEXT)
    assert len(timed) > 10
    for line in timed:
        parse_event(line)
    by_hand = re.findall(r"kubinet fault inject '([^']+)'", TEXT)
    assert by_hand
    for line in by_hand:
        parse_action(line) if not line.startswith(("at ", "from ")) else parse_event(line)


def test_every_word_of_heal_is_documented() -> None:
    """The page names what `heal` takes."""
    words = set(re.findall(r"`heal (\w+)", TEXT))
    assert words >= {"all", *SUBJECTS, "controller"}
    assert set(SERVICES) <= set(re.findall(r"`(\w+)`", TEXT))


def test_every_page_it_links_exists() -> None:
    """Links to other pages lead somewhere."""
    for target in re.findall(r"\]\(([\w/-]+\.md)", TEXT):
        assert (Path(PAGE).parent / target).is_file(), target
