"""A check of the tests: a compiler that is damaged on purpose must not pass them.

Each mutation changes one line of the compiler's source in a child process, which then runs the comparison of the
oracle with the flows, and the tests of what the flows look like.
"""

import importlib
import importlib.abc
import importlib.machinery
import io
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import redirect_stderr, redirect_stdout
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from kubinet.state import ClusterState

_ROOT = Path(__file__).parents[2]
_ANEW = ("controller.policy", "controller.compile", "controller.features.policies", "controller.policy_docs")
_CHECKS = ("test_policy_page", "test_policy_examples", "test_policy_compile")
_TESTS = (*_CHECKS, "test_policy_verdicts", "test_policy_histories", "policymodel", "policyclusters")

MUTATIONS = (
    ("except is forgotten", "blocks", "for exception in block.exceptions:", "for exception in ():"),
    ("except cuts away the whole block", "blocks", "else [part]", "else []"),
    ("a range loses its last port", "ports", "while first <= last:", "while first < last:"),
    ("ports of a range are not aligned", "ports", "size = first & -first or _LAST + 1", "size = _LAST + 1"),
    ("overlapping ranges are not merged", "ports", "max(merged[-1][1], last)", "last"),
    ("protocols are confused", "ports", "by_protocol.setdefault(one.protocol,", "by_protocol.setdefault(Protocol.TCP,"),
    ("the policy's own namespace is not asked", "selection",
     "return cls(namespace, None, peer.pods)", "return cls(None, None, peer.pods)"),
    ("the namespaces' selector is not asked", "selection", "not self.namespaces.matches(labels)", "False"),
    ("the pods' selector is not asked", "selection", "return self.pods.matches(pod.labels)", "return True"),
    ("a changed pod is not looked at again", "selection",
     "if state.pods.get(key) is not self._pods.get(key) or", "if key not in self._pods or"),
    ("relabelled namespaces are not looked at again", "selection",
     "if state.namespaces.get(name) != self._namespaces.get(name)", "if False"),
    ("directions are swapped", "rules", "(Direction.EGRESS, Tier.NAMESPACE): EGRESS_POLICY",
     "(Direction.EGRESS, Tier.NAMESPACE): INGRESS_POLICY"),
    ("tiers are swapped", "rules", "(Direction.INGRESS, Tier.ADMIN): INGRESS_ADMIN",
     "(Direction.INGRESS, Tier.ADMIN): INGRESS_BASELINE"),
    ("rules of a cluster-wide policy share a priority", "rules", "priority = first_priority - index",
     "priority = first_priority"),
    ("a port's name counts for every protocol", "rules", "and named.protocol in (None, port.protocol)", ""),
    ("named ports are left out", "rules", "if port.name == named.name", "if False"),
    ("policies' priorities are turned round", "precedence", "HIGHEST - policy.priority * _SLOTS",
     "LOWEST + policy.priority * _SLOTS"),
    ("nodes are not peers", "conjunctions", "if any(selector.matches(node.labels)",
     "if not any(selector.matches(node.labels)"),
    ("blocks are not peers", "conjunctions", "networks(form.blocks) | addresses", "frozenset(addresses)"),
    ("addresses with named ports are left out", "conjunctions", "if anybody or self._in_block(pod)", "if False"),
    ("the subject's ports are another pod's", "conjunctions", "ports = ports_at(self.form.ports, pod)",
     "ports = ports_at(self.form.ports, None)"),
    ("peers that go stay", "contexts", "for gone in known.peers - peers:", "for gone in ():"),
    ("peers that come are left out", "contexts", "for come in peers - known.peers:", "for come in ():"),
    ("clauses are counted wrong", "contexts",
     "last = conjunction.clauses - 1 if isinstance(context.term, PortTerm | FragmentTerm) else 1",
     "last = 1"),
    ("deny accepts", "contexts", "if form.action is Action.DENY:", "if False:"),
    ("pass accepts", "contexts", "if form.action is Action.PASS and form.tier is Tier.ADMIN:", "if False:"),
    ("source and destination are swapped", "contexts", "(IPV4_DST if egress else IPV4_SRC)",
     "(IPV4_SRC if egress else IPV4_DST)"),
    ("a pod is not isolated", "subjects",
     "yield make(table, Priority.GUARD, (IP, subject)",
     "_ = make(table, Priority.GUARD, (IP, subject)"),
    ("the way in leads past the admin tier", "subjects",
     "first = min(selecting.values()", "first = max(selecting.values()"),
    ("pods of egress are not led to their policies", "subjects",
     "yield make(EGRESS_ENTRY, Priority.NORMAL, (IP, IN_PORT(port))",
     "_ = make(EGRESS_ENTRY, Priority.NORMAL, (IP, IN_PORT(port))"),
    ("policyTypes is not asked", "policy_compile", "if direction in policy.directions", "if True"),
    ("a policy that goes stays", "policy_compile",
     "touched = self._known.keys() - state.policies.keys()", "touched = set()"),
    ("a subject that changes is not looked at again", "policy_compile", "known.seen is not known.subject.pods or", ""),
    ("flows of rules that end stay", "policy_compile", "own.contexts.remove(conjunction, port)", "pass"),
)  # fmt: skip


class _Damaged(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports one module with its source changed."""

    def __init__(self, name: str, old: str, new: str) -> None:
        self._name, self._old, self._new = name, old, new

    def find_spec(
        self, fullname: str, _path: Sequence[str] | None, _target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return importlib.machinery.ModuleSpec(fullname, self) if fullname == self._name else None

    def exec_module(self, module: ModuleType) -> None:
        path = _ROOT / f"{self._name.replace('.', '/')}.py"
        exec(compile(path.read_text().replace(self._old, self._new), str(path), "exec"), vars(module))


def _checks() -> Iterator[Callable[[], None]]:
    """The tests, those of properties with few examples, always the same ones, and no search for the smallest."""
    clusters = importlib.import_module("policyclusters").clusters
    few = settings(
        max_examples=40, derandomize=True, database=None, deadline=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),  # a slow machine is not a test that notices
    )  # fmt: skip
    for module in _CHECKS:
        tests = importlib.import_module(module)
        for test in [getattr(tests, found) for found in dir(tests) if found.startswith("test_")]:
            if not hasattr(test, "hypothesis"):
                yield test
    verdicts = importlib.import_module("test_policy_verdicts").test_the_tables_say_what_the_oracle_says
    histories = importlib.import_module("test_policy_histories").test_programs_do_not_depend_on_what_was_compiled_before

    def judged(state: ClusterState, data: st.DataObject) -> None:
        verdicts.hypothesis.inner_test(state, data)

    def compiled(states: list[ClusterState]) -> None:
        histories.hypothesis.inner_test(states)

    yield few(given(clusters(), st.data())(judged))
    yield few(given(st.lists(clusters(), min_size=2, max_size=4))(compiled))


def _complaint(name: str, old: str, new: str) -> str:
    """What the first test that fails with the module damaged says, else nothing; runs in a child process."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        said = ""
        for known in [known for known in sys.modules if known.startswith(_ANEW) or known in _TESTS]:
            package, _, module = known.rpartition(".")
            if package in sys.modules:  # `from controller import compile` would find it there
                vars(sys.modules[package]).pop(module, None)
            del sys.modules[known]
        sys.meta_path.insert(0, _Damaged(name, old, new))
        try:
            with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
                for check in _checks():
                    check()
        except (NameError, SyntaxError, ImportError):
            said = ""  # a line that cannot run is no mutation
        except BaseException as error:
            said = "".join(traceback.format_exception(error, limit=-4))[-4000:]
        finally:
            os.write(write, said.encode())
            os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        text = pipe.read().decode()
    os.waitpid(child, 0)
    return text


@pytest.mark.parametrize(("module", "old", "new"), [row[1:] for row in MUTATIONS], ids=[row[0] for row in MUTATIONS])
def test_a_damaged_compiler_is_noticed(module: str, old: str, new: str) -> None:
    """The line is there once, and with it changed some test fails."""
    assert (_ROOT / f"controller/policy/{module}.py").read_text().count(old) == 1
    assert _complaint(f"controller.policy.{module}", old, new), "no test noticed"


def test_the_undamaged_compiler_passes() -> None:
    """Otherwise the mutations would prove nothing: the same child passes with a line replaced by itself."""
    line = "for exception in block.exceptions:"
    assert _complaint("controller.policy.blocks", line, line) == ""
