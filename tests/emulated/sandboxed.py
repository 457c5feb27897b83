"""Runs a function of a test file in fresh namespaces, as root or as an ordinary user, and hands back its result.

`python sandboxed.py FILE FUNCTION ARGUMENTS` is what runs there; arguments and result travel as JSON.
"""

import contextlib
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ordinaryuser import AS_USER, skip_where_closed

_REPOSITORY = Path(__file__).resolve().parents[2]
_FURNISH = 'PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin; mount -t tmpfs tmpfs /run && ip link set lo up && exec "$@"'


def call_sandboxed(function: Callable[..., Any], *arguments: Any, user: bool = False, timeout: float = 120.0) -> Any:
    """What `function` of a test module returns in new mount, net and pid namespaces; fails with its output."""
    if user:
        skip_where_closed()
    namespaces = ["--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]
    if user or os.geteuid() != 0:
        namespaces = ["--user", "--map-root-user", *namespaces]
    inner = [sys.executable, __file__, function.__code__.co_filename, function.__name__, json.dumps(arguments)]
    argv = [*([str(AS_USER)] if user else []), "unshare", *namespaces, "sh", "-c", _FURNISH, "sh", *inner]
    environment = {**os.environ, "PYTHONPATH": str(_REPOSITORY)}
    try:
        done = subprocess.run(argv, capture_output=True, text=True, env=environment, timeout=timeout, check=False)
    except subprocess.TimeoutExpired as error:
        pytest.fail(f"{function.__name__} did not end in {timeout:g} s: {error.stderr!r}")
    if done.returncode != 0:
        pytest.fail(f"{function.__name__} ended with {done.returncode}:\n{done.stdout[-4000:]}\n{done.stderr[-8000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def _main(file: str, name: str, arguments: str) -> None:
    specification = importlib.util.spec_from_file_location("sandboxed_test", file)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules["sandboxed_test"] = module
    specification.loader.exec_module(module)
    with contextlib.redirect_stdout(sys.stderr):
        result = getattr(module, name)(*json.loads(arguments))
    print(json.dumps(result))


if __name__ == "__main__":
    _main(*sys.argv[1:])
