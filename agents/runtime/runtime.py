"""What the container runtime does: sandboxes, containers, exec. The transport is in `server`."""

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from agents.runtime import capabilities, rootfs, spawn
from agents.runtime.cgroups import Cgroups
from agents.runtime.containers import Container
from agents.runtime.loop import Loop
from agents.runtime.sandboxes import Sandbox, bind_mount, etc_files, open_sandbox, safe_name
from kubinet.containers import BUSYBOX_FOLDER, DEFAULT_PATH
from kubinet.cri import ContainerExit, ContainerSpec, ContainerStatus, SandboxInfo, SandboxSpec, log_path
from kubinet.crilink import ContainerNotFoundError, ContainerRuntimeError, ExecStartError


class Runtime:
    """All sandboxes of a cluster; every process is a child of this process."""

    def __init__(
        self,
        loop: Loop,
        *,
        state_dir: Path,
        run_dir: Path,
        view: rootfs.MachineView,
        groups: Cgroups,
        applets: Path | None,
        call_filter: bytes,
    ) -> None:
        """`call_filter`: see `spawn.Program`."""
        self._loop = loop
        self._state_dir = state_dir
        self._run_dir = run_dir
        self._view = view
        self._groups = groups
        self._applets = applets
        self._sandboxes: dict[str, Sandbox] = {}
        self._own_netns = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        self._own_pid_namespace = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
        self._call_filter = call_filter
        self._last_capability = int(Path("/proc/sys/kernel/cap_last_cap").read_text())
        self.on_exit: Callable[[ContainerExit], None] = lambda _: None

    def create_sandboxes(self, specs: Sequence[SandboxSpec]) -> tuple[SandboxInfo, ...]:
        """See `RuntimeClient.create_sandboxes`."""
        for spec in specs:
            if spec.pod_uid not in self._sandboxes:
                self._sandboxes[spec.pod_uid] = open_sandbox(spec, self._own_netns, self._run_dir / "volumes")
        return tuple(self._sandboxes[spec.pod_uid].info() for spec in specs)

    def list(self) -> tuple[SandboxInfo, ...]:
        """See `RuntimeClient.list`."""
        return tuple(sandbox.info() for sandbox in self._sandboxes.values())

    def network_namespace(self, pod_uid: str) -> str:
        """See `RuntimeClient.network_namespace`."""
        return str(self._sandbox(pod_uid).info().netns)

    def running(self, pod_uid: str, name: str) -> Container:
        """The container, which runs; ContainerNotFoundError."""
        container = self._sandbox(pod_uid).containers.get(name)
        if container is None or not container.started or not container.running:
            raise ContainerNotFoundError(f"pod {self._pod(pod_uid)}: container {name!r} does not run")
        return container

    def remove_sandboxes(self, pod_uids: Sequence[str], *, keep_logs: bool, done: Callable[[], None]) -> None:
        """See `RuntimeClient.remove_sandboxes`; calls `done` when the processes are gone."""
        sandboxes = [self._sandboxes[uid] for uid in dict.fromkeys(pod_uids) if uid in self._sandboxes]
        pending = {
            id(container) for sandbox in sandboxes for container in sandbox.containers.values() if container.running
        }

        def drop() -> None:
            for sandbox in sandboxes:
                if self._sandboxes.pop(sandbox.spec.pod_uid, None) is None:
                    continue  # removed by another call meanwhile
                sandbox.close()
                if not keep_logs:
                    shutil.rmtree(self._state_dir / "pods" / sandbox.spec.pod_uid, ignore_errors=True)
            done()

        def gone(container: Container) -> None:
            pending.discard(id(container))
            if not pending:
                drop()

        for sandbox in sandboxes:
            for container in sandbox.containers.values():
                if container.running:
                    container.when_exited(gone)
                    container.kill()
        if not pending:
            drop()

    def start_containers(
        self, specs: Sequence[ContainerSpec], done: Callable[[tuple[ContainerStatus, ...]], None]
    ) -> None:
        """See `RuntimeClient.start_containers`; calls `done` when every start is decided."""
        for spec in specs:
            self._check_new(spec)
        containers: list[Container] = []
        undecided = len(specs)

        def decided() -> None:
            nonlocal undecided
            undecided -= 1
            if undecided == 0 and len(containers) == len(specs):
                done(tuple(container.status() for container in containers))

        for spec in specs:
            containers.append(self._start(spec, decided))
        if undecided == 0:
            done(tuple(container.status() for container in containers))

    def stop_container(self, pod_uid: str, name: str, grace_seconds: float) -> None:
        """See `RuntimeClient.stop_container`."""
        sandbox = self._sandboxes.get(pod_uid)
        if sandbox is not None and name in sandbox.containers:
            sandbox.containers[name].stop(grace_seconds)

    def exec(
        self,
        pod_uid: str,
        container: str,
        argv: Sequence[str],
        env: Mapping[str, str],
        stdio: tuple[int, int, int] | None,
    ) -> spawn.Spawned:
        """Start a process in a running container, without `stdio` on a terminal; the caller watches it."""
        running = self.running(pod_uid, container)
        if not argv:
            raise ExecStartError(f"pod {self._pod(pod_uid)}: no command to execute")
        program = spawn.Program(
            tuple(argv),
            {**self._environment(running.spec), **({"TERM": "xterm"} if stdio is None else {}), **env},
            str(running.spec.cwd),
            stdio,
            capabilities.dropped(running.spec.capabilities, self._last_capability),
            running.group.procs,
            self._call_filter,
        )
        return spawn.start_exec(program, running.pidfd, self._own_pid_namespace)

    def close(self, done: Callable[[], None]) -> None:
        """End everything; calls `done` when all processes are gone."""

        def finish() -> None:
            self._groups.close()
            done()

        self.remove_sandboxes(tuple(self._sandboxes), keep_logs=True, done=finish)

    def _sandbox(self, pod_uid: str) -> Sandbox:
        if pod_uid not in self._sandboxes:
            raise ContainerNotFoundError(f"pod uid {pod_uid!r} has no sandbox; create it first")
        return self._sandboxes[pod_uid]

    def _pod(self, pod_uid: str) -> str:
        spec = self._sandbox(pod_uid).spec
        return f"{spec.namespace}/{spec.name}"

    def _check_new(self, spec: ContainerSpec) -> None:
        last = self._sandbox(spec.pod_uid).containers.get(spec.name)
        what = f"pod {self._pod(spec.pod_uid)}: container {safe_name(spec.name, 'container')!r}"
        if not spec.argv:
            raise ContainerRuntimeError(f"{what} has no command")
        capabilities.dropped(spec.capabilities, self._last_capability)
        if last is not None and last.running:
            raise ContainerRuntimeError(f"{what} runs already as attempt {last.spec.attempt}")
        if last is not None and last.spec.attempt >= spec.attempt:
            raise ContainerRuntimeError(f"{what}: attempt {spec.attempt} is not after {last.spec.attempt}")

    def _start(self, spec: ContainerSpec, decided: Callable[[], None]) -> Container:
        sandbox = self._sandbox(spec.pod_uid)
        group = self._groups.make(f"{spec.pod_uid}.{spec.name}.{spec.attempt}", spec.limits)
        path = log_path(self._state_dir, spec.pod_uid, spec.name, spec.attempt)
        container = Container(spec, path, self._loop, group)
        sandbox.containers[spec.name] = container
        container.start(lambda stdio: self._spawn(sandbox, container, stdio), decided, self._exited)
        return container

    def _spawn(self, sandbox: Sandbox, container: Container, stdio: tuple[int, int, int] | None) -> spawn.Spawned:
        spec = container.spec
        try:
            binds = [bind_mount(sandbox, mount) for mount in spec.mounts]
        except ContainerRuntimeError as error:
            raise OSError(str(error)) from error
        links: dict[str, str] = {}
        for target, path in spec.programs.items():
            real = path.resolve()
            links[target] = str(real)
            if not self._view.shows(real):
                # The whole folder, at its own place: a program brings what lies beside it.
                folder = str(real if real.is_dir() else real.parent)
                binds.append(rootfs.Bind(folder, folder, read_only=True))
        if spec.busybox and self._applets:
            binds.append(rootfs.Bind(str(self._applets), BUSYBOX_FOLDER, read_only=True))
        home = spawn.Home(
            sandbox.netns,
            sandbox.spec.hostname,
            self._view,
            str(self._run_dir / "rootfs"),
            etc_files(sandbox.spec),
            links,
            tuple(binds),
        )
        program = spawn.Program(
            spec.argv,
            self._environment(spec),
            str(spec.cwd),
            stdio,
            capabilities.dropped(spec.capabilities, self._last_capability),
            container.group.procs,
            self._call_filter,
        )
        return spawn.start_container(program, home, self._own_pid_namespace)

    def _environment(self, spec: ContainerSpec) -> dict[str, str]:
        hostname = self._sandbox(spec.pod_uid).spec.hostname
        env = {"PATH": DEFAULT_PATH, "HOSTNAME": hostname, "HOME": "/root", **spec.env}
        if spec.tty:
            env.setdefault("TERM", "xterm")
        if spec.busybox and self._applets and BUSYBOX_FOLDER not in env["PATH"].split(":"):
            env["PATH"] = f"{BUSYBOX_FOLDER}:{env['PATH']}"
        return env

    def _exited(self, container: Container) -> None:
        assert container.exit is not None
        self.on_exit(container.exit)
