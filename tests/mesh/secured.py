"""deploy/envoy/full.yaml as it is meant: mutual TLS on both hops, a policy at the server, an own authority."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import grpc

from tests.certificates import Authority, Leaf
from tests.mesh.envoy_process import DEPLOY, Envoy, configuration, running_envoy
from tests.mesh.servers import Server, running
from tests.stripe_http import StripeHttp

TRUST = "spiffe://cluster.local/"
POLICY = """
version: 1
callers:
  shop:
    identities: ["spiffe://cluster.local/shop"]
    rpcs: "*"
    accounts: "*"
    max_amount: {USD: 5000}
"""


@dataclass
class Secured:
    """Envoy, the servers behind it, and who can vouch for callers."""

    envoy: Envoy
    servers: tuple[Server, ...]
    authority: Authority
    folder: Path
    _issued: dict[str, Leaf] = field(default_factory=dict)

    @property
    def port(self) -> int:
        """Where callers of the mesh connect."""
        port: int = self.envoy.ports["mesh"]
        return port

    def leaf(self, name: str) -> Leaf:
        """The certificate of a service of the mesh."""
        if name not in self._issued:
            self._issued[name] = self.authority.leaf(TRUST + name)
        return self._issued[name]

    def credentials(self, leaf: Leaf) -> grpc.ChannelCredentials:
        """Of a gRPC caller that shows `leaf`."""
        return grpc.ssl_channel_credentials(self.authority.pem, leaf.key, leaf.cert)

    def context(self, leaf: Leaf) -> ssl.SSLContext:
        """Of an HTTP caller that shows `leaf`."""
        context = ssl.create_default_context(cadata=self.authority.pem.decode())
        context.load_cert_chain(*leaf.write(self.folder, "http-caller"))
        return context


@contextmanager
def secured(stripe: StripeHttp, ledger: str, folder: Path) -> Iterator[Secured]:
    """All of it, running, both replicas healthy; the first one takes Stripe's webhooks."""
    authority = Authority("cluster.local")
    (folder / "tls").mkdir()
    (folder / "tls/ca.crt").write_bytes(authority.pem)
    authority.leaf(TRUST + "envoy", "localhost", "envoy.cluster.local", "127.0.0.1").write(folder / "tls", "envoy")
    authority.leaf(TRUST + "cloneservice", "cloneservice.cluster.local").write(folder / "tls", "server")
    (folder / "policy.yaml").write_text(POLICY)
    (folder / "webhooks").write_text("whsec_mesh0123456789abcdef\n")
    (folder / "cloneservice.binpb").write_bytes((DEPLOY / "cloneservice.binpb").read_bytes())
    flags = [
        *("--tls-cert-file", f"{folder}/tls/server.crt", "--tls-key-file", f"{folder}/tls/server.key"),
        *("--tls-client-ca-file", f"{folder}/tls/ca.crt", "--trusted-proxy", TRUST + "envoy"),
        *("--policy-file", f"{folder}/policy.yaml"),
    ]
    webhooks = ["--webhook-listen", "127.0.0.1:0", "--stripe-webhook-secrets-file", f"{folder}/webhooks"]
    servers = tuple(
        Server(
            stripe=stripe.url,
            api_key=stripe.api_key,
            ledger=ledger,
            log=folder / f"server-{number}.log",
            flags=(*flags, *(webhooks if number == 1 else ())),
        )
        for number in (1, 2)
    )
    with running(*servers):
        ports = {"cloneservice": [server.port for server in servers], "webhooks": [servers[0].said["webhook_port"]]}
        with running_envoy(configuration("full.yaml", ports, files=folder), folder / "envoy") as envoy:
            envoy.until(lambda: envoy.healthy() == 2)
            yield Secured(envoy, servers, authority, folder)
