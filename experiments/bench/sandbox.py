"""Runs a reference in namespaces of its own, so that nothing of it is left on the machine."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from typing import Any, Final

from kubinet.errors import DeadlineError, KubinetError
from kubinet.sandbox import search_path

_AS_ROOT: Final = ("unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc")
_AS_USER: Final = (*_AS_ROOT, "--user", "--map-root-user")
_PRIVATE_RUN: Final = 'mount -t tmpfs tmpfs /run && ip link set lo up && exec "$@"'


def run_module(module: str, arguments: Sequence[str], *, timeout_s: float) -> dict[str, Any]:
    """Run `python -m module arguments` in fresh namespaces with an empty /run; its last line of output is JSON."""
    enter = _AS_ROOT if os.getuid() == 0 else _AS_USER
    argv = [*enter, "sh", "-c", _PRIVATE_RUN, "sh", sys.executable, "-m", module, *arguments]
    environment = {**os.environ, "PATH": search_path()}
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=timeout_s, check=False, env=environment)
    except subprocess.TimeoutExpired as error:
        raise DeadlineError(f"benchmark {module}: it did not end in {timeout_s:g} s") from error
    lines = done.stdout.strip().splitlines()
    if done.returncode != 0 or not lines:
        raise KubinetError(f"benchmark {module}: it ended with status {done.returncode}: {done.stderr.strip()[-800:]}")
    document: dict[str, Any] = json.loads(lines[-1])
    return document
