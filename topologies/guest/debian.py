"""Debian's stock kernel in a folder of the user's cache: downloaded by apt, unpacked, never installed.

Installing the package would write boot loader and initramfs of the host; unpacked, it is a file and its modules.
"""

import os
import re
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kubinet.errors import MissingCapabilityError

META_PACKAGE = "linux-image-amd64"
"""Names Debian's newest kernel by its dependency."""
TOOLS = {"apt-get": "apt", "apt-cache": "apt", "dpkg-deb": "dpkg", "depmod": "kmod"}
"""Programs that fetch and unpack, and Debian's packages that have them."""
_SECONDS = 600
# What a network needs; drivers of hardware, three quarters of all, stay out.
_KEEP = re.compile(
    r"boot/vmlinuz-|lib/modules/[^/]+/(?:modules\.|kernel/(?:arch|block|crypto|lib|mm|net)/|"
    r"kernel/drivers/(?:virtio|char|block|net/[^/]+\.ko|net/(?:bonding|geneve|ipvlan|macvlan|team|vxlan)/)|"
    r"kernel/fs/(?:9p|fscache|fuse|netfs|overlayfs)/)"
)


@dataclass(frozen=True, slots=True)
class DebianKernel:
    """An unpacked kernel."""

    image: Path
    modules_dir: Path
    """Its name is the kernel's release."""


def cache_folder() -> Path:
    """`$XDG_CACHE_HOME/kubinet/guest` (default `~/.cache`)."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "kubinet" / "guest"


def cached(folder: Path) -> DebianKernel | None:
    """The newest kernel that was unpacked there before."""
    found = sorted(folder.glob("linux-image-*/lib/modules/*/modules.dep"), key=lambda one: _numbers(one.parent.name))
    if not found:
        return None
    modules_dir = found[-1].parent
    return DebianKernel(modules_dir.parents[2] / "boot" / f"vmlinuz-{modules_dir.name}", modules_dir)


def _numbers(release: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", release))


def can_fetch() -> bool:
    """Whether this machine has the programs to fetch a kernel."""
    return not _missing()


def find() -> DebianKernel:
    """The cached kernel, else a download of 70 MB into the cache; MissingCapabilityError says what was in the way."""
    folder = cache_folder()
    try:
        return cached(folder) or _fetch(folder)
    except OSError as error:
        raise MissingCapabilityError(
            f"Debian's kernel for the virtual machine cannot be kept in {folder}: {error.strerror or error}; "
            "free space there or set XDG_CACHE_HOME, or use `--kernel uml`"
        ) from error


def _fetch(folder: Path) -> DebianKernel:
    if missing := _missing():
        packages = sorted({TOOLS[name] for name in missing})
        raise MissingCapabilityError(
            f"Debian's kernel for the virtual machine cannot be fetched without {', '.join(missing)}: "
            f"run `apt install {' '.join(packages)}`, or use `--kernel uml`"
        )
    folder.mkdir(parents=True, exist_ok=True)
    package = kernel_package(_run(["apt-cache", "depends", "--important", META_PACKAGE]))
    with tempfile.TemporaryDirectory(prefix="fetch-", dir=folder) as scratch:
        _run(["apt-get", "-q", "download", package], cwd=scratch)
        [archive] = Path(scratch).glob("*.deb")
        unpacked = Path(scratch, "unpacked")
        _unpack(archive, unpacked)
        release = package.removeprefix("linux-image-")
        _run(["depmod", "-b", str(unpacked), release])
        try:
            unpacked.rename(folder / package)
        except OSError:  # another process was faster; its copy is as good
            if not (folder / package).is_dir():
                raise
    found = cached(folder)
    if found is None:
        raise MissingCapabilityError(f"the package {package} has no modules: remove {folder}, or use `--kernel uml`")
    return found


def kernel_package(dependencies: str) -> str:
    """The package with the kernel, out of `apt-cache depends linux-image-amd64`."""
    found = re.search(r"Depends: (linux-image-\S+)", dependencies)
    if found is None:
        raise MissingCapabilityError(
            f"apt knows no package {META_PACKAGE}: run `apt-get update` (it is Debian's), or use `--kernel uml`"
        )
    return found[1]


def _missing() -> list[str]:
    return [name for name in TOOLS if shutil.which(name, path=_search_path()) is None]


def _search_path() -> str:
    """An ordinary user's path may lack the folders of depmod."""
    return f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"


def _unpack(archive: Path, target: Path) -> None:
    command = ["dpkg-deb", "--fsys-tarfile", str(archive)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        with tarfile.open(fileobj=process.stdout, mode="r|") as stream:
            for member in stream:
                name = member.name.removeprefix("./")
                content = stream.extractfile(member) if _KEEP.match(name) else None
                if content is not None:
                    path = target / name
                    path.parent.mkdir(parents=True, exist_ok=True)
                    with path.open("wb") as file:
                        shutil.copyfileobj(content, file)
        process.stdout.read()  # the padding at the end
    if process.returncode != 0:
        raise MissingCapabilityError(f"dpkg-deb cannot unpack {archive.name} (status {process.returncode}); try again")


def _run(argv: Sequence[str], cwd: str | None = None) -> str:
    environment = {**os.environ, "PATH": _search_path(), "LC_ALL": "C"}
    try:
        done = subprocess.run(
            argv, cwd=cwd, env=environment, capture_output=True, text=True, check=False, timeout=_SECONDS
        )
    except subprocess.TimeoutExpired:
        raise MissingCapabilityError(f"`{' '.join(argv)}` did not end within {_SECONDS} s") from None
    if done.returncode != 0:
        raise MissingCapabilityError(
            f"Debian's kernel for the virtual machine cannot be had: `{' '.join(argv)}` says: {done.stderr.strip()}; "
            "run `apt-get update`, or use `--kernel uml`"
        )
    return done.stdout
