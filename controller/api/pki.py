"""A certificate authority per cluster and the API's server certificate, made with openssl's command line."""

import os
import subprocess
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path
from typing import Final

from kubinet.errors import KubinetError, MissingCapabilityError

_NAMES: Final = (
    "IP:127.0.0.1",
    "IP:::1",
    "DNS:localhost",
    "DNS:kubernetes",
    "DNS:kubernetes.default",
    "DNS:kubernetes.default.svc",
    "DNS:kubernetes.default.svc.cluster.local",
)
_DAYS: Final = "3650"
_CURVE: Final = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


@dataclass(frozen=True, slots=True)
class Certificates:
    """Where the files are (PEM)."""

    authority: Path
    certificate: Path
    key: Path


def ensure(folder: Path, addresses: Iterable[IPv4Address] = ()) -> Certificates:
    """The certificates in `folder`, made when one of the three files is missing (about 30 ms).

    The server's is for the loopback, the names of Service default/kubernetes and these addresses.
    """
    files = Certificates(folder / "ca.crt", folder / "tls.crt", folder / "tls.key")
    if all(path.exists() for path in (files.authority, files.certificate, files.key)):
        return files
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as name:
        _make(Path(name), [*_NAMES, *(f"IP:{address}" for address in addresses)])
        # The authority last: whoever sees it finds the others too. Its key is not kept: nothing else is ever signed.
        for path in (files.key, files.certificate, files.authority):
            (Path(name) / path.name).replace(path)
    return files


def _make(folder: Path, names: Iterable[str]) -> None:
    extensions = folder / "extensions"
    extensions.write_text(f"subjectAltName={','.join(names)}\nextendedKeyUsage=serverAuth\nbasicConstraints=CA:FALSE\n")
    authority = ("-keyout", "ca.key", "-out", "ca.crt", "-subj", "/CN=kubinet-ca", "-days", _DAYS)
    usage = ("-addext", "keyUsage=critical,keyCertSign,cRLSign")
    _openssl(folder, "req", "-x509", *_CURVE, *authority, *usage)
    _openssl(folder, "req", *_CURVE, "-keyout", "tls.key", "-out", "tls.csr", "-subj", "/CN=kubinet-api")
    signing = ("-CA", "ca.crt", "-CAkey", "ca.key", "-set_serial", str(int.from_bytes(os.urandom(8)) >> 1))
    _openssl(
        folder, "x509", "-req", "-in", "tls.csr", *signing, "-days", _DAYS, "-extfile", "extensions", "-out", "tls.crt"
    )


def _openssl(folder: Path, *arguments: str) -> None:
    try:
        command = ("openssl", *arguments)
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=30, check=False)
    except FileNotFoundError:
        raise MissingCapabilityError("openssl is not installed; install the Debian package openssl") from None
    if done.returncode != 0:
        raise KubinetError(f"openssl {arguments[0]} failed in {folder}: {done.stderr.strip()}")
