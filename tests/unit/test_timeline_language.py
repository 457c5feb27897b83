"""The timeline language: what a line says, how it prints, what it refuses."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.timeline.actions import (
    SUBJECTS,
    Action,
    Apply,
    Churn,
    CrashNode,
    Delete,
    Event,
    Heal,
    Kill,
    LinkDown,
    LinkFlap,
    LinkSet,
    Partition,
    Pause,
    RestartSwitch,
    Scale,
    StopAgent,
    concerns,
)
from experiments.timeline.faults.catalogue import FAULTS
from experiments.timeline.language import parse_action, parse_event, parse_timeline
from experiments.timeline.words import TimelineError

LINES = [
    ("at 20s: partition [n1] [n2, n3]", Event(20.0, Partition((("n1",), ("n2", "n3"))))),
    ("at 1s: partition [controller] [n2]", Event(1.0, Partition((("controller",), ("n2",))))),
    ("from 10s to 30s: link leaf1-spine1 flap every 500ms", Event(10.0, LinkFlap("leaf1-spine1", 0.5), 30.0)),
    ("from 10s to 1m30s: link a-b down", Event(10.0, LinkDown("a-b"), 90.0)),
    ("at 12s: link a-b up", Event(12.0, Heal("link", "a-b"))),
    ("at 5s: set link n1-s1 loss 2%", Event(5.0, LinkSet("n1-s1", (("loss", "2%"),)))),
    (
        "from 5s to 6s: set link n1-s1 delay 20ms queue 100 packets",
        Event(5.0, LinkSet("n1-s1", (("delay", "20ms"), ("queue", "100packets"))), 6.0),
    ),
    ("at 5s: kill controller", Event(5.0, Kill("controller"))),
    ("from 0s to 2.5s: pause api", Event(0.0, Pause("api"), 2.5)),
    ("at 5s: restart ovs on n2", Event(5.0, RestartSwitch("n2"))),
    ("from 5s to 15s: stop agent n3", Event(5.0, StopAgent("n3"), 15.0)),
    ("at 10s: crash node n4", Event(10.0, CrashNode("n4"))),
    ("from 0s to 60s: churn 20% of pods app=web every 5s", Event(0.0, Churn(20.0, "app=web", 5.0), 60.0)),
    (
        'from 0s to 60s: churn 2.5% of pods "app in (a, b)" in shop every 5s',
        Event(0.0, Churn(2.5, "app in (a, b)", 5.0, "shop"), 60.0),
    ),
    ("at 10s: scale deploy/web 10", Event(10.0, Scale("deploy", "web", 10))),
    ("from 1s to 2s: scale shop:StatefulSet/db 0", Event(1.0, Scale("StatefulSet", "db", 0, "shop"), 2.0)),
    ("at 3s: apply file.yaml", Event(3.0, Apply("file.yaml"))),
    ('at 3s: delete "two words.yaml"', Event(3.0, Delete("two words.yaml"))),
    ("at 8s: heal partition", Event(8.0, Heal("partition"))),
    ("at 8s: heal all", Event(8.0, Heal("all"))),
    ("at 8s: heal controller", Event(8.0, Heal("service", "controller"))),
]


@pytest.mark.parametrize(("line", "event"), LINES, ids=[line for line, _ in LINES])
def test_a_line_is_an_event(line: str, event: Event) -> None:
    """Each line of the language has one meaning."""
    assert parse_event(line) == event


def test_every_fault_has_an_example_in_the_language() -> None:
    """The example of each fault is a line that means this fault."""
    assert {type(parse_event(fault.example).action): fault.example for fault in FAULTS.values()} == {
        action: fault.example for action, fault in FAULTS.items()
    }


NAMES = st.from_regex(r"[a-z0-9]([-a-z0-9.]{0,8}[a-z0-9])?", fullmatch=True)
TIMES = st.integers(1, 10**12).map(lambda micro: micro / 1_000_000)
WORDS = st.text(st.characters(codec="ascii", exclude_characters='"', exclude_categories=["C"]), min_size=1, max_size=12)
FILES = WORDS.filter(lambda word: word not in ("[", "]", ","))
GROUPS = st.lists(NAMES.filter(lambda name: name != "controller"), min_size=2, max_size=6, unique=True)
SETTINGS = st.dictionaries(st.sampled_from(["delay", "jitter"]), st.sampled_from(["1ms", "20us", "1.5s"]), min_size=1)
SERVICES = st.sampled_from(["controller", "api", "agents"])
MOMENTS: st.SearchStrategy[Action] = st.one_of(
    st.builds(Kill, SERVICES),
    st.builds(RestartSwitch, NAMES),
    st.builds(Heal, st.sampled_from(["all", *SUBJECTS])),
    st.builds(Heal, st.just("link"), NAMES),
)
ALWAYS: st.SearchStrategy[Action] = st.one_of(
    GROUPS.map(lambda names: Partition((tuple(names[:1]), tuple(names[1:])))),
    st.builds(LinkDown, NAMES),
    st.builds(LinkSet, NAMES, SETTINGS.map(lambda settings: tuple(settings.items()))),
    st.builds(Pause, SERVICES),
    st.builds(StopAgent, NAMES),
    st.builds(CrashNode, NAMES),
    st.builds(Scale, st.sampled_from(["deploy", "Deployment", "sts"]), NAMES, st.integers(0, 10_000), NAMES),
    st.builds(Apply, FILES),
    st.builds(Delete, FILES),
)
LASTING: st.SearchStrategy[Action] = st.one_of(
    st.builds(LinkFlap, NAMES, TIMES),
    st.builds(Churn, st.floats(0, 100, exclude_min=True), FILES, TIMES, NAMES),
)
EVENTS = st.one_of(
    st.builds(Event, TIMES, st.one_of(MOMENTS, ALWAYS)),
    st.tuples(TIMES, st.one_of(ALWAYS, LASTING), TIMES).map(lambda one: Event(one[0], one[1], one[0] + one[2])),
)


@given(EVENTS)
def test_an_event_prints_as_a_line_that_means_it(event: Event) -> None:
    """Reading what `str` prints gives an equal event, to the microsecond."""
    again = parse_event(str(event))
    assert (again.start, again.action) == (event.start, event.action)
    assert (again.end is None) == (event.end is None)
    assert event.end is None or again.end == pytest.approx(event.end, abs=1e-6)


WRONG = [
    ("kill controller", 1, "a line is `at TIME: ACTION` or `from TIME to TIME: ACTION`"),
    ("at 5: kill controller", 4, "'5' is no time; write one such as 20s, 500ms or 1m30s"),
    ("at 1.5us: kill controller", 4, "'1.5us' is finer than a microsecond"),
    ("at 1000h: kill api", 4, "'1000h' is longer than 30 days"),
    ("at 5s 6s: kill api", 7, "'6s' is more than this line can say"),
    ("from 5s: kill api", 8, "the line ends where `to` should be"),
    ("from 5s to 5s: pause api", 12, "the end 5s is not after the start 5s"),
    ("at 5s:", 7, "the line ends where an action should be"),
    ("at 5s: partion [n1] [n2]", 8, "'partion' is not an action; known: partition, link,"),
    ("at 5s: partition [n1]", 22, "a partition has two groups at least, such as [n1] [n2, n3]"),
    ("at 5s: partition [n1] [n2, n1]", 28, "'n1' is in two groups or twice in one"),
    ("at 5s: partition [n1] [n2", 26, "the line ends where `]` should be"),
    ("at 5s: partition [n1, controller] [n2]", 38, "`controller` stands in a group of its own"),
    ("at 5s: link A down", 13, "'A' is not a link's name"),
    ("at 5s: link a sideways", 15, "'sideways' is not what happens to the link; known: down, flap, up"),
    ("at 5s: link a flap every 5ms", 8, "needs an end; write `from 5s to 15s: link a flap every 5ms`"),
    ("from 5s to 6s: link a flap every 0s", 34, "a time greater than 0 should stand here"),
    ("at 5s: set link a lost 2%", 19, "'lost' is not a quantity of links; known: rate, delay, jitter, loss, queue"),
    ("at 5s: set link a loss 2", 24, "loss: '2' is not a percentage such as 0.1%"),
    ("at 5s: set link a loss 2% loss 3%", 27, "loss is set twice; keep one"),
    ("at 5s: kill ovs", 13, "'ovs' is not a service; known: controller, api, agents"),
    ("from 1s to 2s: kill api", 16, "`kill api` happens at one moment; write `at 1s: kill api`"),
    ("from 0s to 9s: churn 0% of pods a=b every 1s", 22, "'0%' is no percentage of more than 0 and at most 100"),
    ("at 5s: scale pod/a 2", 14, "'pod/a' cannot be scaled; write KIND/NAME or NAMESPACE:KIND/NAME"),
    ("at 5s: scale deploy/a -2", 23, "'-2' is no number of replicas from 0 to 10000"),
    ('at 5s: apply "x', 14, '" has no partner'),
    ("at 5s: heal nodes", 13, "'nodes' is not what can be healed; known: all, partition, link,"),
]


@pytest.mark.parametrize(("line", "column", "words"), WRONG, ids=[line for line, _, _ in WRONG])
def test_an_error_names_the_column_and_the_remedy(line: str, column: int, words: str) -> None:
    """What is wrong is said with its column, counted from 1, and with what may stand there."""
    with pytest.raises(TimelineError) as caught:
        parse_event(line, "exp.yaml:12")
    assert caught.value.column == column
    assert str(caught.value).startswith(f"exp.yaml:12, column {column}: ")
    assert words in str(caught.value)


def test_a_timeline_is_in_the_order_of_its_starts() -> None:
    """Events of one moment keep the file's order; errors name the line."""
    lines = ["at 2s: kill api", "at 1s: link a down", "at 1s: heal all"]
    assert [str(event) for event in parse_timeline(lines)] == [
        "at 1s: link a down",
        "at 1s: heal all",
        "at 2s: kill api",
    ]
    with pytest.raises(TimelineError, match=r"^timeline, line 2, column 4: "):
        parse_timeline(["at 2s: kill api", "at x: kill api"])


def test_heal_means_faults_by_what_they_are_about() -> None:
    """`heal link` ends all faults of links, `heal link a` those of link a, `heal all` everything."""
    faults = [parse_action(text) for text in ("link a down", "set link b loss 1%", "pause api", "crash node n1")]

    def healed(text: str) -> list[str]:
        heal = parse_action(text)
        assert isinstance(heal, Heal)
        return [str(fault) for fault in faults if not isinstance(fault, Heal) and concerns(heal, fault)]

    assert healed("heal link") == ["link a down", "set link b loss 1%"]
    assert healed("heal link b") == ["set link b loss 1%"]
    assert healed("heal api") == ["pause api"]
    assert healed("heal all") == [str(fault) for fault in faults]
