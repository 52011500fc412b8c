"""TLS for the double: a given certificate, or a self-signed one for this machine's names, made by the openssl tool."""

import shutil
import ssl
import subprocess
import tempfile
from pathlib import Path

_NAMES = "subjectAltName=DNS:localhost,DNS:api.stripe.com,DNS:fake-stripe,IP:127.0.0.1,IP:::1"


class NoCertificateError(Exception):
    """TLS was asked for, but there is no certificate and none can be made."""


def context_of(cert: str | None, key: str | None) -> ssl.SSLContext:
    """A server's TLS context with the given PEM files, or with a fresh self-signed certificate.

    Raises NoCertificateError when only one of the two files is given, one cannot be read, or none is given and the
    `openssl` program is not installed.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if cert is not None or key is not None:
        if cert is None or key is None:
            raise NoCertificateError("give both --cert and --key, or neither")
        try:
            context.load_cert_chain(cert, key)
        except (OSError, ssl.SSLError) as problem:
            raise NoCertificateError(f"cannot load {cert} and {key}: {problem}") from problem
        return context
    with tempfile.TemporaryDirectory(prefix="fake-stripe-") as folder:
        made, secret = _self_signed(Path(folder))
        context.load_cert_chain(made, secret)
    return context


def _self_signed(folder: Path) -> tuple[Path, Path]:
    openssl = shutil.which("openssl")
    if openssl is None:
        raise NoCertificateError("there is no openssl program to make a certificate with: give --cert and --key")
    cert, key = folder / "cert.pem", folder / "key.pem"
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
    names = ["-subj", "/CN=localhost", "-addext", _NAMES]
    command = [
        openssl,
        "req",
        "-x509",
        *curve,
        "-nodes",
        "-days",
        "397",
        *names,
        "-keyout",
        str(key),
        "-out",
        str(cert),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)  # noqa: S603 - fixed arguments
    if done.returncode:
        raise NoCertificateError(f"openssl failed: {done.stderr.strip()[-300:]}")
    return cert, key
