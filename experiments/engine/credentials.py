"""The session's certificate and keys: Dask runs whatever Python code comes to its ports from who has them."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from distributed import Security

CREDENTIALS: Final = (
    *("tls_ca_file", "tls_client_key", "tls_client_cert", "tls_scheduler_key", "tls_scheduler_cert"),
    *("tls_worker_key", "tls_worker_cert"),
)
"""The names in `Security` of what `Security.temporary` makes."""


@contextmanager
def credential_files(folder: Path) -> Iterator[Any]:
    """Credentials in files that only this user can read; they are gone on leaving.

    Slurm's jobs get paths on their command lines, which others can read; those tell nothing.
    """
    security = Security.temporary()
    shutil.rmtree(folder, ignore_errors=True)  # of a session that was killed
    folder.mkdir(mode=0o700)
    try:
        paths = {}
        for name in CREDENTIALS:
            path = folder / f"{name}.pem"
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(getattr(security, name))
            paths[name] = str(path)
        yield Security(require_encryption=True, **paths)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
