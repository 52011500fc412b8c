"""A certificate authority for one test run, and certificates with SPIFFE names, by the openssl tool."""

from __future__ import annotations

import subprocess
from pathlib import Path

_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


class Authority:
    """A new authority whose files lie in `folder`: ca.crt, and NAME.crt with NAME.key for each certificate issued."""

    def __init__(self, folder: Path, name: str = "ca") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._name = folder, name
        _openssl(
            folder,
            "req",
            "-x509",
            *_KEY,
            "-keyout",
            f"{name}.key",
            "-out",
            f"{name}.crt",
            "-days",
            "2",
            "-subj",
            f"/CN={name}",
        )

    @property
    def root(self) -> Path:
        """The authority's own certificate."""
        return self._folder / f"{self._name}.crt"

    def issue(self, name: str, trust_domain: str = "cluster.local") -> tuple[Path, Path]:
        """A certificate (and its key) for `spiffe://<trust_domain>/<name>` and the DNS name `<name>.<trust_domain>`."""
        stem = name.replace("/", "-")
        names = f"DNS:{stem}.{trust_domain},DNS:localhost,IP:127.0.0.1,URI:spiffe://{trust_domain}/{name}"
        (self._folder / f"{stem}.ext").write_text(f"subjectAltName={names}\nextendedKeyUsage=serverAuth,clientAuth\n")
        _openssl(self._folder, "req", *_KEY, "-keyout", f"{stem}.key", "-out", f"{stem}.csr", "-subj", f"/CN={stem}")
        signed = ("-CA", f"{self._name}.crt", "-CAkey", f"{self._name}.key", "-CAcreateserial", "-days", "2")
        _openssl(
            self._folder,
            "x509",
            "-req",
            "-in",
            f"{stem}.csr",
            *signed,
            "-out",
            f"{stem}.crt",
            "-extfile",
            f"{stem}.ext",
        )
        return self._folder / f"{stem}.crt", self._folder / f"{stem}.key"


def _openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True, timeout=30)
