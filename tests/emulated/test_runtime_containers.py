"""The container runtime in a sandbox of its own: as root and as an ordinary user."""

import contextlib
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from ordinaryuser import skip_where_closed

from kubinet.cri import (
    ContainerExit,
    ContainerPhase,
    ContainerSpec,
    EmptyDirSource,
    EventStream,
    FilesSource,
    MountSpec,
    ResourceLimits,
    RuntimeClient,
    SandboxSpec,
)
from kubinet.crilink import (
    Connection,
    ContainerNotFoundError,
    ContainerRuntimeError,
    ExecStartError,
    RuntimeUnavailableError,
)
from kubinet.images import ImageTable, load_table

pytestmark = pytest.mark.emulated

ROOT = Path(__file__).parents[2]
SERVE = """
import sys
from pathlib import Path
from agents.runtime.daemon import serve
from kubinet.service import ServiceContext
run, state = Path(sys.argv[1]), Path(sys.argv[2])
serve(ServiceContext("test", run, state, "", "", lambda facts: print("ready", facts, flush=True)))
"""


@dataclass
class Running:
    """A runtime under test."""

    client: RuntimeClient
    folder: Path
    process: subprocess.Popen[str]
    facts: str

    def sandbox(self, uid: str = "u1") -> None:
        self.client.create_sandbox(
            SandboxSpec(uid, "default", f"pod-{uid}", f"host-{uid}", "n1", address=IPv4Address("10.244.1.5"))
        )

    def run(self, *argv: str, uid: str = "u1", name: str = "c", attempt: int = 0, **options: object) -> ContainerExit:
        """Start a container and wait for its end."""
        with self.client.events() as events:
            self.client.start_container(ContainerSpec(uid, name, attempt, argv, **options))  # type: ignore[arg-type]
            return next_exit(events)

    def log(self, uid: str = "u1", name: str = "c", attempt: int = 0) -> list[str]:
        """The texts in a container's log."""
        path = self.folder / "state" / "pods" / uid / name / f"{attempt}.log"
        return [line.split(" ", 3)[3] for line in path.read_text().splitlines()]


def next_exit(events: EventStream) -> ContainerExit:
    """The next exit; fails after 20 s rather than hang."""
    assert select.select([events], [], [], 20)[0], "no container ended within 20 s"
    return next(events)


def shown(terminal: int) -> str:
    """What a terminal shows until its last user has gone, from its controlling side, which is closed."""
    text = b""
    with contextlib.suppress(OSError):  # EIO: nobody uses it any more
        while data := os.read(terminal, 4096):
            text += data
    os.close(terminal)
    return text.decode()


@pytest.fixture(params=["root", "user"])
def runtime(request: pytest.FixtureRequest) -> Iterator[Running]:
    """A runtime in fresh namespaces."""
    if request.param == "root" and os.geteuid() != 0:
        pytest.skip("needs root")
    if request.param == "user":
        skip_where_closed()
    folder = Path(tempfile.mkdtemp(prefix="kubinet-runtime-"))
    for path in (folder, folder / "run", folder / "state"):
        path.mkdir(exist_ok=True)
        path.chmod(0o777)
    command = ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]
    if request.param == "user":
        command[1:1] = ["--user", "--map-root-user"]
        if os.geteuid() == 0:
            command[:0] = ["setpriv", "--reuid=64321", "--regid=64321", "--clear-groups"]
    command += [sys.executable, "-c", SERVE, str(folder / "run"), str(folder / "state")]
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, env=environment)
    try:
        assert process.stdout is not None
        facts = process.stdout.readline()
        assert facts.startswith("ready"), "the runtime did not start"
        yield Running(RuntimeClient(folder / "run" / "runtime.sock"), folder, process, facts)
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()
        shutil.rmtree(folder)


@pytest.fixture(scope="module")
def images() -> ImageTable:
    return load_table(user_table=Path("/nonexistent"))


def test_container_is_first_process_with_own_name_and_mounts(runtime: Running) -> None:
    """A container is process 1, has the pod's host name and only the loopback until the agent adds more."""
    runtime.sandbox()
    ended = runtime.run("sh", "-c", "echo $$; hostname; ls /sys/class/net; ls /home /root /tmp; cat /etc/hosts")
    assert (ended.exit_code, ended.reason) == (0, "Completed")
    log = runtime.log()
    assert log[:3] == ["1", "host-u1", "lo"]
    assert [line for line in log if line.startswith("10.244")] == ["10.244.1.5\thost-u1"]


def test_writes_do_not_reach_the_machine(runtime: Running) -> None:
    """What a container writes below /usr, /etc and /var is there for it, and not on the machine, whoever runs it."""
    runtime.sandbox()
    folders = ("usr", "usr/local/bin", "usr/share", "etc", "etc/ssl", "var", "var/log", "tmp")
    name = f"kubinet-{os.getpid()}"
    ended = runtime.run("sh", "-c", f"for d in {' '.join(folders)}; do echo x >/$d/{name} && cat /$d/{name}; done")
    assert (ended.exit_code, runtime.log()) == (0, ["x"] * len(folders))
    assert [folder for folder in folders if Path("/", folder, name).exists()] == []


def test_programs_become_another_user_or_believe_so(runtime: Running, request: pytest.FixtureRequest) -> None:
    """As root they do; an ordinary user's containers have one user, and chown, setuid and setgroups change nothing."""
    runtime.sandbox()
    become = "setpriv --reuid=33 --regid=33 --groups=33"
    ended = runtime.run("sh", "-c", f"touch /tmp/x && chown 33:33 /tmp/x && stat -c %u:%g /tmp/x && {become} id -u")
    seen = ["0:0", "0"] if "[user]" in request.node.name else ["33:33", "33"]
    assert (ended.exit_code, runtime.log()) == (0, seen)


def test_kernel_settings_of_the_machine_are_read_only(runtime: Running) -> None:
    """A container cannot change the machine through /proc/sys or by a new mount."""
    runtime.sandbox()
    ended = runtime.run("sh", "-c", "echo x >/proc/sys/kernel/hostname; mount -t tmpfs x /mnt && echo mounted; true")
    assert ended.exit_code == 0
    assert "mounted" not in runtime.log()
    assert any("Read-only file system" in line for line in runtime.log())


@pytest.mark.parametrize(("script", "code"), [("exit 0", 0), ("exit 42", 42), ("ulimit -c 0; kill -9 $$; true", 0)])
def test_exit_code(runtime: Running, script: str, code: int) -> None:
    """The exit status is the process's own; a first process cannot kill itself."""
    runtime.sandbox()
    assert runtime.run("sh", "-c", script).exit_code == code


def test_start_error_names_the_program(runtime: Running) -> None:
    """A program that is not there is a StartError with exit code 128, and does not spoil the batch."""
    runtime.sandbox()
    bad, good = runtime.client.start_containers(
        [ContainerSpec("u1", "bad", 0, ("nosuch",)), ContainerSpec("u1", "good", 0, ("sleep", "60"))]
    )
    assert (bad.exit_code, bad.reason, bad.message) == (
        128,
        "StartError",
        'exec: "nosuch": executable file not found in $PATH',
    )
    assert good.phase is ContainerPhase.RUNNING


def test_restart_is_a_new_attempt(runtime: Running) -> None:
    """Attempts count up, each with its own log; the same attempt twice is refused."""
    runtime.sandbox()
    runtime.run("echo", "first")
    runtime.run("echo", "second", attempt=1)
    assert (runtime.log(attempt=0), runtime.log(attempt=1)) == (["first"], ["second"])
    with pytest.raises(ContainerRuntimeError, match="attempt 1 is not after 1"):
        runtime.run("true", attempt=1)


def test_stop_sends_sigterm_then_sigkill(runtime: Running) -> None:
    """A container that handles SIGTERM ends with its own status; one that ignores it is killed after the grace."""
    runtime.sandbox()
    wait = 'trap "exit 3" TERM; echo up; while :; do sleep 0.05; done'
    with runtime.client.events() as events:
        for name, argv in {"polite": ("sh", "-c", wait), "deaf": ("sleep", "60")}.items():
            runtime.client.start_container(ContainerSpec("u1", name, 0, argv))
        # The shell's trap is set when an exec sees its output in the log.
        while "up" not in (runtime.log(name="polite") or [""]):
            with runtime.client.exec("u1", "polite", ["true"]) as process:
                process.wait(30)
        runtime.client.stop_container("u1", "polite", 30)
        runtime.client.stop_container("u1", "deaf", 0.1)
        codes = {ended.name: ended.exit_code for ended in (next_exit(events), next_exit(events))}
    assert codes == {"polite": 3, "deaf": 128 + signal.SIGKILL}


def test_exec_passes_streams_and_status(runtime: Running) -> None:
    """exec runs in the container's namespaces with the caller's descriptors and gives back the exit status."""
    runtime.sandbox()
    runtime.client.start_container(ContainerSpec("u1", "c", 0, ("sleep", "60"), env={"A": "b"}))
    stdin, to_process = os.pipe()
    from_process, stdout = os.pipe()
    os.write(to_process, b"typed\n")
    with runtime.client.exec(
        "u1", "c", ["sh", "-c", "read x; hostname; echo $x $A; exit 7"], stdin=stdin, stdout=stdout
    ) as process:
        assert process.wait(30) == 7
    os.close(stdout)
    with os.fdopen(from_process) as output:
        assert output.read() == "host-u1\ntyped b\n"
    os.close(stdin)
    os.close(to_process)


_NAME_TERMINAL = "t=$(tty) && test -c $t && echo $t && readlink /proc/self/fd/0"


def test_exec_with_terminal(runtime: Running) -> None:
    """With tty the process has a controlling terminal that is in the container's /dev/pts; one that fails has none."""
    runtime.sandbox()
    runtime.client.start_container(ContainerSpec("u1", "c", 0, ("sleep", "60")))
    script = f"{_NAME_TERMINAL}; stty rows 33; stty size </dev/tty"
    with runtime.client.exec("u1", "c", ["sh", "-c", script], tty=True) as process:
        assert process.terminal is not None
        assert process.wait(30) == 0
        assert shown(process.terminal) == "/dev/pts/0\r\n/dev/pts/0\r\n33 0\r\n"
    with pytest.raises(ExecStartError, match="executable file not found"):
        runtime.client.exec("u1", "c", ["nosuch"], tty=True)
    with pytest.raises(ExecStartError, match="makes its streams"):
        runtime.client.exec("u1", "c", ["true"], stdin=0, tty=True)


def test_interrupt_ends_the_foreground_process(runtime: Running) -> None:
    """Ctrl-C on an exec's terminal ends what its shell runs, not the shell."""
    runtime.sandbox()
    runtime.client.start_container(ContainerSpec("u1", "c", 0, ("sleep", "60")))
    with runtime.client.exec("u1", "c", ["sh"], tty=True) as process:
        assert process.terminal is not None
        os.write(process.terminal, b"sh -c 'echo up; exec sleep 60'\n")
        seen = b""
        while b"up\r\n" not in seen:
            seen += os.read(process.terminal, 100)
        os.write(process.terminal, b"\x03")
        os.write(process.terminal, b"exit $(($? - 100))\n")
        assert process.wait(30) == 128 + signal.SIGINT - 100
        os.close(process.terminal)


def test_programs_inherit_no_descriptor_of_others(runtime: Running) -> None:
    """A program has its three streams and nothing else, whatever clients the runtime serves meanwhile."""
    runtime.sandbox()
    runtime.client.start_container(ContainerSpec("u1", "c", 0, ("sleep", "60"), tty=True, stdin=True))
    reader, writer = os.pipe()
    with runtime.client.attach("u1", "c", stdin=True, stdout=writer) as attached:
        assert attached.terminal is not None
        runtime.run("ls", "/proc/self/fd", name="d")
        assert runtime.log(name="d") == ["0", "1", "2", "3"]  # 3 is the folder that ls reads
        with runtime.client.exec("u1", "c", ["ls", "/proc/self/fd"], tty=True) as process:
            assert process.terminal is not None
            assert shown(process.terminal).split() == ["0", "1", "2", "3"]
    for fd in (attached.terminal, reader, writer):
        os.close(fd)


def test_container_with_terminal(runtime: Running) -> None:
    """The terminal of a container is in its own /dev/pts; who attaches gets its controlling side."""
    runtime.sandbox()
    script = f"{_NAME_TERMINAL}; read x; echo got $x; exit 3"
    assert runtime.run("nosuch", name="bad", tty=True).reason == "StartError"
    with runtime.client.events() as events:
        runtime.client.start_container(ContainerSpec("u1", "c", 0, ("sh", "-c", script), tty=True, stdin=True))
        with runtime.client.attach("u1", "c", stdin=True) as attached:
            assert (attached.stdin, attached.terminal is not None) == (None, True)
            os.write(attached.terminal or -1, b"typed\n")
            os.close(attached.terminal or -1)
            assert (next_exit(events).exit_code, attached.wait(30)) == (3, 3)
    shown = [line.rstrip("\r") for line in runtime.log()]
    assert sorted(shown) == sorted(["/dev/pts/0", "/dev/pts/0", "typed", "got typed"])


def test_exec_errors(runtime: Running) -> None:
    """A missing program, container or sandbox is an error of its own kind; a kill is status 137."""
    runtime.sandbox()
    runtime.client.start_container(ContainerSpec("u1", "c", 0, ("sleep", "60")))
    with pytest.raises(ExecStartError, match="executable file not found"):
        runtime.client.exec("u1", "c", ["nosuch"])
    with pytest.raises(ContainerNotFoundError, match="container 'x' does not run"):
        runtime.client.exec("u1", "x", ["true"])
    with pytest.raises(ContainerNotFoundError, match="'u2' has no sandbox"):
        runtime.client.exec("u2", "c", ["true"])
    with runtime.client.exec("u1", "c", ["sleep", "60"]) as process:
        process.kill()
        assert process.wait(30) == 128 + signal.SIGKILL


def test_refused_requests_keep_no_descriptor(runtime: Running) -> None:
    """The pipes of an attach that is refused are closed; descriptors that do not arrive refuse the request."""
    runtime.sandbox()
    reader, writer = os.pipe()
    with pytest.raises(ContainerNotFoundError, match="container 'x' does not run"):
        runtime.client.attach("u1", "x", stdout=writer)
    os.close(writer)
    assert select.select([reader], [], [], 20)[0], "the runtime has the pipe still"
    assert os.read(reader, 1) == b""
    os.close(reader)
    with pytest.raises(ContainerRuntimeError, match="open files that were sent along were lost"):
        Connection(runtime.folder / "run" / "runtime.sock", 20, {"call": "list"}, (0, 0, 0, 0))
    assert [sandbox.pod_uid for sandbox in runtime.client.list()] == ["u1"]


@pytest.mark.parametrize("signal_name", ["STOP", "TERM"])
def test_signals_in_a_container_do_not_reach_the_runtime(runtime: Running, signal_name: str) -> None:
    """A process that is signalled by its container before its program runs neither stops the runtime nor ends it."""
    runtime.sandbox()
    endless = f"while :; do kill -{signal_name} -1 2>/dev/null; sleep 0.002; done"
    runtime.client.start_container(ContainerSpec("u1", "c", 0, ("sh", "-c", endless)))
    null = os.open(os.devnull, os.O_WRONLY)
    client = RuntimeClient(runtime.folder / "run" / "runtime.sock", timeout=5.0)
    with contextlib.ExitStack() as stack:
        for _ in range(20):
            stack.enter_context(client.exec_unawaited("u1", "c", ["true"], output=null))
            assert len(client.list()) == 1
        client.remove_sandboxes(["u1"])
    os.close(null)
    assert client.list() == ()


def test_volumes(runtime: Running) -> None:
    """An emptyDir is shared by a pod's containers; files given by value are read-only."""
    runtime.sandbox()
    shared = MountSpec(Path("/shared"), EmptyDirSource("v"))
    files = MountSpec(Path("/config"), FilesSource("cm", {"a.conf": b"text\n"}))
    assert runtime.run("sh", "-c", "echo hello >/shared/f", mounts=(shared,)).exit_code == 0
    read = "cat /shared/f /config/a.conf; echo x >/config/a.conf"
    assert runtime.run("sh", "-c", read, name="d", mounts=(shared, files)).exit_code != 0
    assert runtime.log(name="d")[:2] == ["hello", "text"]


def test_limits_are_enforced_or_named(runtime: Running) -> None:
    """A memory limit ends the container with OOMKilled, or the status says why it is not enforced."""
    runtime.sandbox()
    program = "x = bytearray(100_000_000); x[::4096] = b'1' * len(x[::4096])"
    spec = ContainerSpec("u1", "c", 0, ("python3", "-c", program), limits=ResourceLimits(0.5, 30_000_000))
    with runtime.client.events() as events:
        status = runtime.client.start_container(spec)
        ended = next_exit(events)
    lacking = {sentence.split("=")[0] for sentence in status.unenforced}
    if "limit memory" in lacking:
        assert (ended.exit_code, ended.reason) == (0, "Completed")
    else:
        assert (ended.exit_code, ended.reason) == (137, "OOMKilled")


def test_agnhost_serves_its_pod(runtime: Running, images: ImageTable) -> None:
    """agnhost's netexec from the image table answers over the pod's loopback."""
    runtime.sandbox()
    for name, args in {"server": ["netexec"], "pause": []}.items():
        image = images.resolve("registry.k8s.io/e2e-test-images/agnhost:2.43", args=args)
        runtime.client.start_container(ContainerSpec("u1", name, 0, image.argv, env=image.env, programs=image.programs))
    reader, writer = os.pipe()
    ask = "until /agnhost connect localhost:8080; do sleep 0.05; done; curl -s localhost:8080/hostname"
    with runtime.client.exec("u1", "server", ["sh", "-c", ask], stdout=writer) as process:
        assert process.wait(30) == 0
    os.close(writer)
    with os.fdopen(reader) as output:
        assert output.read() == "host-u1"


def test_busybox_applets_come_first(runtime: Running, images: ImageTable) -> None:
    """In a busybox image a tool is busybox's."""
    runtime.sandbox()
    image = images.resolve("busybox:1.36", ["sh", "-c", "readlink -f $(which wget)"])
    assert runtime.run(*image.argv, env=image.env, busybox=image.busybox).exit_code == 0
    assert runtime.log() == ["/usr/bin/busybox"]


def test_death_of_the_runtime_ends_its_containers(runtime: Running) -> None:
    """When the runtime is gone, so are its containers, and clients hear of it."""
    runtime.sandbox()
    runtime.client.start_container(ContainerSpec("u1", "c", 0, ("sleep", "60")))
    with runtime.client.exec("u1", "c", ["sleep", "60"]) as process, runtime.client.events() as events:
        runtime.process.kill()
        runtime.process.wait()
        with pytest.raises(RuntimeUnavailableError):
            process.wait(30)
        with pytest.raises(RuntimeUnavailableError):
            next_exit(events)
    with pytest.raises(RuntimeUnavailableError, match="is the cluster up"):
        runtime.client.list()


def test_two_hundred_pause_pods(runtime: Running, images: ImageTable, capsys: pytest.CaptureFixture[str]) -> None:
    """200 pods with a pause container run with less than 1 MB each, and all go when they are removed."""
    image = images.resolve("registry.k8s.io/pause:3.10")
    uids = [f"p{number}" for number in range(200)]
    runtime.client.create_sandboxes([SandboxSpec(uid, "default", uid, uid, "n1") for uid in uids])
    statuses = runtime.client.start_containers(
        [ContainerSpec(uid, "c", 0, image.argv, env=image.env, programs=image.programs) for uid in uids]
    )
    assert {status.phase for status in statuses} == {ContainerPhase.RUNNING}
    reader, writer = os.pipe()
    with runtime.client.exec("p0", "c", ["cat", "/proc/1/smaps_rollup"], stdout=writer) as process:
        assert process.wait(30) == 0
    os.close(writer)
    with os.fdopen(reader) as output:
        pss = next(int(line.split()[1]) for line in output if line.startswith("Pss:"))
    with capsys.disabled():
        print(f"\npause container: {pss} kB PSS")
    assert pss < 1000
    with contextlib.closing(runtime.client.events()) as events:
        runtime.client.stop_container("p0", "c", 20)
        assert next_exit(events).exit_code == 0
    runtime.client.remove_sandboxes(uids)
    assert runtime.client.list() == ()
