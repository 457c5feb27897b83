"""The sandbox's first process: order, gates, restarts and ends, with services that only say what happens."""

import signal
from pathlib import Path

import pytest
from fakeservices import Supervised
from stalls import running_time

READY = "def serve(context):\n    context.ready({'port': 7})\n    signal.pause()\n"
POLITE = """
def serve(context):
    signal.signal(signal.SIGTERM, lambda *_: (say(context, "asked to end"), sys.exit(0)))
    context.ready({})
    while True:
        signal.pause()
"""


def test_services_start_at_once_and_wait_for_those_they_need(tmp_path: Path) -> None:
    """A service imports its module while others start; it serves when all of its `after` are ready."""
    serve = "def serve(c):\n word(c, 'go')\n say(c, 'first')\n c.ready({})\n signal.pause()\n"
    first = {"name": "first", "source": serve}
    go, imported = tmp_path / "go", tmp_path / "imported"
    serve = "def serve(c):\n say(c, 'second')\n c.ready({})\n signal.pause()\n"
    source = f"Path({str(imported)!r}).write_text('x')\n{serve}"
    second = {"name": "second", "after": ["first"], "source": source}
    with Supervised(tmp_path, second, first, pipes=["go", "imported"]) as supervised:
        supervised.until("first", "starting")
        assert imported.read_text() == "x", "the second service's module is imported before the first is ready"
        go.write_text("x")
        supervised.until("cluster", "ready")
        assert supervised.trace() == ["first", "second"]


def test_what_a_service_says_when_ready_is_on_record(tmp_path: Path) -> None:
    """`services.json` has state, pid, restarts and facts; a service that ends by itself is done."""
    once = {"name": "once", "once": True, "source": "def serve(context):\n    context.ready({'pairs': 2})\n"}
    with Supervised(tmp_path, {"name": "api", "source": READY}, {**once, "after": ["api"]}) as supervised:
        assert supervised.until("api", "ready")["facts"] == {"port": 7}
        supervised.until("cluster", "ready")
        supervised.process.send_signal(signal.SIGTERM)
        assert supervised.ended() == 0
        table = supervised.services()
        assert table["api"] == {"state": "ready", "pid": table["api"]["pid"], "restarts": 0, "facts": {"port": 7}}
        assert table["once"]["restarts"] == 0


def test_a_service_that_dies_is_restarted_with_growing_pauses(tmp_path: Path) -> None:
    """At once after the first death, half a second after the second, a second after the third."""
    source = "def serve(context):\n    context.ready({})\n    sys.exit(int(word(context, 'die')))\n"
    with Supervised(
        tmp_path, {"name": "frail", "source": source}, {"name": "other", "source": READY}, pipes=["die"]
    ) as supervised:
        die = tmp_path / "die"
        supervised.until("cluster", "ready")
        pauses = []
        for _ in range(3):
            die.write_text("3")
            died = supervised.until("frail", "died")
            assert (died["exit_code"], Path(died["log"]).name) == (3, "frail.log")
            pauses.append(supervised.until("frail", "starting")["seconds"] - died["seconds"])
            supervised.until("frail", "ready")
        assert [pauses[0] < 0.4, 0.5 <= pauses[1] < 0.9, 1.0 <= pauses[2] < 1.9] == [True] * 3, pauses
        assert supervised.log().count("service frail ended with status 3") == 3
        assert supervised.process.poll() is None


def test_a_death_before_ready_ends_everything(tmp_path: Path) -> None:
    """While the cluster starts, the first service that cannot start takes the others with it; its log says why."""
    broken = {"name": "broken", "after": ["polite"], "source": "def serve(context):\n    raise OSError('no room')\n"}
    with Supervised(tmp_path, {"name": "polite", "source": POLITE}, broken) as supervised:
        assert supervised.until("broken", "died")["exit_code"] == 1
        assert supervised.ended() == 1
        assert supervised.trace() == ["asked to end"]
        assert "OSError: no room" in (tmp_path / "logs" / "broken.log").read_text()


def test_sigterm_ends_all_services_within_the_deadline(tmp_path: Path) -> None:
    """Those that hear it end by themselves; one that does not hear keeps the supervisor no longer than its deadline."""
    deaf = "def serve(c):\n signal.signal(signal.SIGTERM, signal.SIG_IGN)\n c.ready({})\n while True: signal.pause()\n"
    with Supervised(tmp_path, {"name": "polite", "source": POLITE}, {"name": "deaf", "source": deaf}) as supervised:
        supervised.until("cluster", "ready")
        began = running_time()
        supervised.process.send_signal(signal.SIGTERM)
        assert supervised.ended() == 0
        assert 1.0 <= running_time() - began < 3.0
        assert supervised.trace() == ["asked to end"]


def test_services_that_others_need_end_last(tmp_path: Path) -> None:
    """What a service still says while it ends is heard by those that it needs."""
    serve = """
def serve(context):
    signal.signal(signal.SIGTERM, lambda *_: (word(context, "go"), say(context, "second"), sys.exit(0)))
    context.ready({})
    while True:
        signal.pause()
"""
    services = {"name": "first", "source": POLITE}, {"name": "second", "after": ["first"], "source": serve}
    with Supervised(tmp_path, *services, pipes=["go"]) as supervised:
        supervised.until("cluster", "ready")
        supervised.process.send_signal(signal.SIGTERM)
        (tmp_path / "go").write_text("x")
        assert supervised.ended() == 0
        assert supervised.trace() == ["second", "asked to end"]


@pytest.mark.parametrize(("bound", "complete"), [(True, True), (False, False)])
def test_a_closed_control_socket_ends_a_bound_or_unfinished_cluster(
    tmp_path: Path, bound: bool, complete: bool
) -> None:
    """A cluster that a program keeps for itself ends with that program, and none outlives an `up` that was killed."""
    source = POLITE if complete else POLITE.replace("context.ready({})", "pass")
    with Supervised(tmp_path, {"name": "polite", "source": source}, bound=bound) as supervised:
        supervised.until(*(("cluster", "ready") if complete else ("polite", "starting")))
        supervised.hang_up()
        assert supervised.ended() == (0 if complete else 1)


def test_an_unbound_cluster_outlives_its_control_socket(tmp_path: Path) -> None:
    """`kubinet up` may leave; the services go on and are looked after."""
    source = "def serve(c):\n c.ready({})\n word(c, 'die')\n"
    with Supervised(tmp_path, {"name": "frail", "source": source}, pipes=["die"]) as supervised:
        die = tmp_path / "die"
        supervised.until("cluster", "ready")
        supervised.hang_up()
        die.write_text("x")
        die.write_text("x")  # only a second life of the service can read this
        assert supervised.process.poll() is None
