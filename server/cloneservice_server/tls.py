"""TLS on the listener: the files are read again for each new connection when they have changed. TLS 1.2 and 1.3 only.

gRPC's core asks for the certificates before each handshake, on a thread of its own, and goes on with the last ones when
it gets none; so a renewed certificate serves from the next connection on and `max_connection_age_s` retires the rest.
"""

from __future__ import annotations

import ssl

import grpc

from cloneservice_server.access.tls_files import TlsFiles
from cloneservice_server.access.watched import Watched


class TlsError(Exception):
    """Certificate files that cannot be used; says which and why."""


def watch(files: TlsFiles) -> Watched[grpc.ServerCertificateConfiguration]:
    """The files in gRPC's form, followed as they change. Raises TlsError when they cannot be used now."""

    def parse(cert: bytes, key: bytes, client_ca: bytes | None = None) -> grpc.ServerCertificateConfiguration:
        _check(files, client_ca)
        return grpc.ssl_server_certificate_configuration([(key, cert)], client_ca)

    try:
        return Watched(files.paths, parse)
    except OSError as wrong:
        raise TlsError(f"cannot read {wrong.filename}: {wrong.strerror}") from wrong


def credentials(watched: Watched[grpc.ServerCertificateConfiguration], *, mutual: bool) -> grpc.ServerCredentials:
    """What a gRPC server listens with."""
    return grpc.dynamic_ssl_server_credentials(watched.current(), watched.current, mutual)


def _check(files: TlsFiles, client_ca: bytes | None) -> None:
    """Certificate and key must belong together: half of a rotation is not taken. Raises TlsError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(files.cert, files.key, password="")
    except (ssl.SSLError, ValueError) as wrong:
        raise TlsError(f"certificate and key cannot be used together: {_reason(wrong)}") from wrong
    if client_ca is None:
        return
    try:
        context.load_verify_locations(cadata=client_ca.decode("ascii"))
    except (ssl.SSLError, ValueError) as wrong:
        raise TlsError(f"the client CA file holds no certificate: {_reason(wrong)}") from wrong


def _reason(wrong: Exception) -> str:
    return str(getattr(wrong, "reason", None) or wrong)
