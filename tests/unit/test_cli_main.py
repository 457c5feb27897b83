"""What every command has: help, errors on standard error, exit statuses, quick start-up."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from kubinet.cli.commands import app
from kubinet.cli.docs import PAGE, _commands, page
from kubinet.cli.main import run

ROOT = Path(__file__).resolve().parent.parent.parent
HEAVY = ("requests", "aiohttp", "matplotlib", "networkx", "numpy", "os_ken", "pyroute2", "ruamel", "websocket", "yaml")


def command_paths() -> list[tuple[str, ...]]:
    return [path for path, _ in _commands(typer.main.get_command(app), ())]


@pytest.fixture(autouse=True)
def _no_clusters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    for name in ("KUBINET_CLUSTER", "KUBINET_API", "KUBINET_DEBUG"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("path", command_paths(), ids=" ".join)
def test_every_command_has_help_with_an_example(path: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    """--help of every command ends with 0, says what it does and shows an example."""
    assert run([*path, "--help"]) == 0
    text = capsys.readouterr().out
    assert f"Usage: kubinet {' '.join(path)}" in text
    assert "Examples" in text


def test_no_arguments_show_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    """`kubinet` alone shows the commands and succeeds."""
    assert run([]) == 0
    assert capsys.readouterr().out.count("Usage: kubinet") == 1


@pytest.mark.parametrize(
    ("arguments", "status", "error"),
    [
        (["get", "--nope"], 2, "Error: No such option: --nope\nTry 'kubinet get --help'.\n"),
        (["nope"], 2, "Error: No such command 'nope'.\nTry 'kubinet --help'.\n"),
        (["get", "pods"], 2, "Error: no cluster runs; `kubinet up` starts one\n"),
        (["get", "pods", "--cluster", "x"], 2,
         "Error: cluster 'x' is not running; none is running; start one with `kubinet up`\n"),
        (["apply"], 2, "Error: name a manifest with -f FILE (a folder, or - for standard input)\n"),
        (["apply", "-f", "/absent.yaml"], 1,
         "Error: /absent.yaml: cannot be read: No such file or directory; check the path\n"),
        (["delete"], 2, "Error: say what to delete: either KIND NAME... or -f FILE\n"),
        (["get", "pods", "-o", "yml"], 2,
         "Error: -o yml: unknown output format; known are wide, yaml, json, name, jsonpath=TEMPLATE, "
         "jsonpath-file=FILE, custom-columns=HEADER:PATH,…\n"),
        (["wait", "pod/a", "--for=ready"], 2,
         "Error: --for 'ready': write condition=NAME[=VALUE], delete, create or jsonpath='{PATH}'[=VALUE]\n"),
        (["up", "--set", "x"], 2, "Error: --set 'x': write KEY=VALUE, such as leaves=4\n"),
        (["run"], 2, "Error: name an experiment; `kubinet run --list` lists them\n"),
        (["logs"], 2, "Error: name a pod, or choose pods with -l\n"),
    ],
)  # fmt: skip
def test_wrong_command_lines_say_what_to_do(
    arguments: list[str], status: int, error: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """An error is one text on standard error with the remedy; nothing is on standard output."""
    assert run(arguments) == status
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", error)


def test_no_clusters_are_an_empty_list(capsys: pytest.CaptureFixture[str]) -> None:
    """`ls -o json` without clusters is an empty JSON list."""
    assert run(["ls", "-o", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == []


def test_unexpected_error_has_no_traceback(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A bug is one line for the user; KUBINET_DEBUG=1 shows the traceback."""

    def broken() -> None:
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr("kubinet.launcher.list_clusters", broken)
    assert run(["ls"]) == 1
    line = "Error: internal error: ZeroDivisionError: by zero; KUBINET_DEBUG=1 shows where, please report it\n"
    assert capsys.readouterr().err == line
    monkeypatch.setenv("KUBINET_DEBUG", "1")
    assert run(["ls"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_interrupt_is_130(monkeypatch: pytest.MonkeyPatch) -> None:
    """ctrl-C ends with the shell's status for it."""

    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("kubinet.launcher.list_clusters", interrupted)
    assert run(["ls"]) == 130


def test_help_imports_nothing_heavy() -> None:
    """`kubinet --help` imports none of the libraries that are slow to import."""
    code = "import sys; from kubinet.cli.main import run; run(['--help']); print(*sys.modules, file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False, cwd=ROOT
    )
    roots = {name.partition(".")[0] for name in done.stderr.split()}
    assert sorted(roots & set(HEAVY)) == []


def test_reader_that_goes_away_is_no_traceback() -> None:
    """A closed pipe on standard output ends the program quietly."""
    read, write = os.pipe()
    os.close(read)
    argv = [sys.executable, "-m", "kubinet.cli.main", "version"]
    done = subprocess.run(argv, stdout=write, stderr=subprocess.PIPE, text=True, timeout=30, check=False, cwd=ROOT)
    os.close(write)
    assert (done.returncode, done.stderr) == (1, "")


def test_program_of_the_checkout_works_through_links(tmp_path: Path) -> None:
    """bin/kubinet runs from any folder and through symbolic links."""
    link = tmp_path / "k"
    link.symlink_to(ROOT / "bin" / "kubinet")
    done = subprocess.run([str(link), "version"], capture_output=True, text=True, timeout=30, check=False, cwd=tmp_path)
    assert done.stdout.startswith("kubinet ")


def test_program_without_environment_says_what_to_run(tmp_path: Path) -> None:
    """Without an environment bin/kubinet names the command that makes it."""
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "kubinet"
    program.write_bytes((ROOT / "bin" / "kubinet").read_bytes())
    program.chmod(0o755)
    done = subprocess.run([str(program), "version"], capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stderr) == (1, f"Error: {tmp_path}/.venv is missing; run: make -C {tmp_path} env\n")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_script_is_printed(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    """`kubinet completion SHELL` prints a script for that shell."""
    done = subprocess.run(
        [sys.executable, "-m", "kubinet.cli.main", "completion", shell],
        capture_output=True, text=True, timeout=30, check=False, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 0
    assert "_KUBINET_COMPLETE" in done.stdout


def test_documentation_is_what_the_commands_say() -> None:
    """docs/cli.md is generated from the commands; `make docs` renews it."""
    assert PAGE.read_text() == page()
