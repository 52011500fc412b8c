"""Mutual TLS, tokens and the policy, on a whole server: who gets in, what each may do, and what nobody learns."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import uuid
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from cloneservice import (
    AsyncCloneClient,
    BatchOperation,
    BatchPair,
    CallerNotPermitted,
    CallerUnauthenticated,
    Money,
    RequestIdReused,
    ResourceNotFound,
    Tls,
)
from cloneservice.v1 import clone_service_pb2 as pb
from cloneservice.v1.clone_service_pb2_grpc import CloneServiceStub
from cloneservice_server.access.tokens import new_token
from cloneservice_server.app import App, build_app
from cloneservice_server.clock import SystemClock
from cloneservice_server.ledger import open_ledger
from cloneservice_server.settings import Settings, load
from cloneservice_server.stripe_gateway.gateway import SdkStripeGateway

from tests.certificates import Authority, Leaf
from tests.stripe_http import StripeHttp

POLICY = """
version: 1
callers:
  web:
    identities: ["spiffe://shop.test/web", "token:web"]
    rpcs: "*"
    accounts: [{bakery}]
    max_amount: {{USD: 5000}}
  backoffice:
    identities: ["dns:backoffice.test", "token:backoffice"]
    rpcs: [GetClone, GetCharge, ListClones, ListCharges, LookupRequest, CloneAndCharge, CreateCharge]
    accounts: [{florist}]
    max_amount: unlimited
  operator:
    identities: ["token:operator"]
    rpcs: "*"
    accounts: "*"
    max_amount: unlimited
"""


class Mesh:
    """A server with TLS, tokens and a policy, and clients of each kind."""

    def __init__(self, folder: Path, stripe: StripeHttp) -> None:
        self.folder, self.stripe, self.authority = folder, stripe, Authority()
        self.bakery, self.florist = (stripe.post("/v1/accounts", type="standard")["id"] for _ in range(2))
        self.shopper = stripe.post("/v1/customers")["id"]
        card = stripe.post("/v1/payment_methods/pm_card_visa/attach", customer=self.shopper)["id"]
        stripe.post(f"/v1/customers/{self.shopper}", **{"invoice_settings[default_payment_method]": card})
        self.tokens = {}
        lines = []
        for name in ("web", "backoffice", "operator", "stranger"):
            self.tokens[name], line = new_token(name)
            lines.append(line)
        self.write("tokens", "\n".join(lines))
        self.write("policy.yaml", POLICY.format(bakery=self.bakery, florist=self.florist))
        self.write("ca.crt", self.authority.pem.decode())
        self.cert, self.key = self.authority.leaf("localhost", "127.0.0.1").write(folder, "server")
        self.app: Any = None

    def write(self, name: str, text: str) -> None:
        beside = self.folder / f"{name}.new"
        beside.write_text(text)
        beside.replace(self.folder / name)

    def settings(self, **flags: Any) -> Settings:
        given: dict[str, Any] = {
            "stripe": self.stripe.url,
            "ledger": f"sqlite:///{self.folder}/ledger.db",
            "listen": "127.0.0.1:0",
            "policy_file": str(self.folder / "policy.yaml"),
            "token_file": str(self.folder / "tokens"),
        }
        return load({**given, **flags}, {"STRIPE_API_KEY": self.stripe.api_key})

    @property
    def tls(self) -> dict[str, str]:
        return {"tls_cert_file": str(self.cert), "tls_key_file": str(self.key)}

    @property
    def mutual(self) -> dict[str, str]:
        return {**self.tls, "tls_client_ca_file": str(self.folder / "ca.crt")}

    @asynccontextmanager
    async def serving(self, **flags: Any) -> AsyncIterator[App]:
        settings, clock = self.settings(**flags), SystemClock()
        gateway = SdkStripeGateway(settings.stripe_api_key, base_url=settings.stripe_url)
        self.app = build_app(settings, gateway=gateway, ledger=open_ledger(settings.ledger, clock), clock=clock)
        await self.app.start()
        try:
            yield self.app
        finally:
            await self.app.stop(0)

    def client(self, token: str = "", *names: str, **options: Any) -> AsyncCloneClient:
        """With a token, with a certificate for `names`, with neither or both."""
        if token:
            options["token"] = self.tokens.get(token, token)
        if self.app.settings.tls_cert_file:
            leaf = self.authority.leaf(*names) if names else None
            options["tls"] = Tls(
                root_certificates=self.authority.pem,
                private_key=leaf.key if leaf else None,
                certificate_chain=leaf.cert if leaf else None,
            )
        return AsyncCloneClient(f"localhost:{self.app.port}", **options)

    async def charge(self, client: Any, account: str, amount: int = 1000, **more: Any) -> Any:
        return await client.clone_and_charge(self.shopper, account, Money(amount, "USD"), **more)


@pytest.fixture
def mesh(tmp_path: Path, stripe: StripeHttp) -> Mesh:
    return Mesh(tmp_path, stripe)


async def test_a_certificate_of_the_authority_gets_in_by_its_spiffe_id_and_nothing_else_does(mesh: Mesh) -> None:
    async with mesh.serving(**mesh.mutual):
        async with mesh.client("", "spiffe://shop.test/web") as web:
            charged = await mesh.charge(web, mesh.bakery)
        async with mesh.client("", "backoffice.test") as backoffice:
            with pytest.raises(ResourceNotFound):
                await backoffice.get_charge(charged.charge.charge_id)
        async with mesh.client("", "spiffe://shop.test/other") as other:
            with pytest.raises(CallerNotPermitted):
                await mesh.charge(other, mesh.bakery)
        forged = Authority("somebody else's").leaf("spiffe://shop.test/web")
        assert await code_with(mesh, mesh.authority.leaf("spiffe://shop.test/web")) == grpc.StatusCode.NOT_FOUND
        assert [await code_with(mesh, leaf) for leaf in (forged, None)] == [grpc.StatusCode.UNAVAILABLE] * 2


async def code_with(mesh: Mesh, leaf: Leaf | None) -> Any:
    """The code of a call with a certificate; UNAVAILABLE is gRPC's word for a handshake that failed."""
    shown = (leaf.key, leaf.cert) if leaf else (None, None)
    credentials = grpc.ssl_channel_credentials(mesh.authority.pem, *shown)
    async with grpc.aio.secure_channel(f"localhost:{mesh.app.port}", credentials) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await CloneServiceStub(channel).GetClone(pb.GetCloneRequest(clone_id="cln_1"))
    return caught.value.code()


async def test_a_renewed_certificate_serves_the_next_connection(mesh: Mesh) -> None:
    async with mesh.serving(**mesh.tls):
        first = await certificate_of(mesh.app.port)
        mesh.authority.leaf("localhost").write(mesh.folder, "server")
        second = await certificate_of(mesh.app.port)
        mesh.write("server.key", "half of a rotation")
        third = await certificate_of(mesh.app.port)

    assert (first != second, second == third) == (True, True)


async def certificate_of(port: int) -> str:
    return await asyncio.to_thread(ssl.get_server_certificate, ("127.0.0.1", port))


async def test_tls_below_1_2_is_refused(mesh: Mesh) -> None:
    def version(most: Any) -> Any:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.set_ciphers("ALL:@SECLEVEL=0")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            context.minimum_version = ssl.TLSVersion.TLSv1
            context.maximum_version = most
        with socket.create_connection(("127.0.0.1", mesh.app.port)) as raw:
            try:
                with context.wrap_socket(raw) as wrapped:
                    return wrapped.version()
            except ssl.SSLError:
                return None

    async with mesh.serving(**mesh.tls):
        versions = [
            await asyncio.to_thread(version, most)
            for most in (ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)
        ]

    assert versions == [None, "TLSv1.2", "TLSv1.3"]


async def test_a_token_gets_in_and_a_wrong_or_missing_one_does_not(mesh: Mesh) -> None:
    async with mesh.serving():
        async with mesh.client("web") as web:
            await mesh.charge(web, mesh.bakery)
        for token in ("", "cst_wrong"):
            async with mesh.client(token) as nobody:
                with pytest.raises(CallerUnauthenticated):
                    await mesh.charge(nobody, mesh.bakery)
        async with mesh.client("stranger") as stranger:
            with pytest.raises(CallerNotPermitted):
                await mesh.charge(stranger, mesh.bakery)


async def test_a_trusted_proxy_speaks_for_the_one_behind_it_and_nobody_else_does(mesh: Mesh) -> None:
    behind = [("x-forwarded-client-cert", "By=spiffe://x;URI=spiffe://shop.test/web")]

    async with mesh.serving(**mesh.mutual, trusted_proxy="spiffe://shop.test/envoy"):
        async with mesh.client("", "spiffe://shop.test/envoy", metadata=behind) as envoy:
            await mesh.charge(envoy, mesh.bakery)
        async with mesh.client("", "spiffe://shop.test/envoy") as silent:
            with pytest.raises(CallerUnauthenticated):
                await mesh.charge(silent, mesh.bakery)
        async with mesh.client("", "spiffe://shop.test/other", metadata=behind) as liar:
            with pytest.raises(CallerNotPermitted):
                await mesh.charge(liar, mesh.bakery)


async def test_account_rpc_and_amount_are_bounded_and_nothing_was_done(mesh: Mesh) -> None:
    async with mesh.serving(), mesh.client("web") as web, mesh.client("backoffice") as backoffice:
        denied = []
        for call in (
            mesh.charge(web, mesh.florist),
            mesh.charge(web, mesh.bakery, 5001),
            backoffice.clone_payment_method(mesh.shopper, mesh.florist),
            web.clone_payment_method(mesh.shopper, "acct_doesnotexist"),
        ):
            with pytest.raises(CallerNotPermitted) as caught:
                await call
            denied.append(caught.value.metadata["denied"])

    assert denied == [
        f"may not act on connected account {mesh.florist}",
        "may charge at most 5000 USD (minor units)",
        "may not call ClonePaymentMethod",
        "may not act on connected account acct_doesnotexist",
    ]
    assert mesh.stripe.get("/v1/payment_methods", account=mesh.florist)["data"] == []


async def test_what_a_caller_may_not_see_looks_as_if_it_were_not_there(mesh: Mesh) -> None:
    async with mesh.serving():
        web, backoffice, all_ = (mesh.client(name) for name in ("web", "backoffice", "operator"))
        async with web, backoffice, all_:
            request_id = str(uuid.uuid4())
            done = await mesh.charge(web, mesh.bakery, request_id=request_id)
            other = await mesh.charge(backoffice, mesh.florist)
            clone_id, charge_id = done.clone.clone_id, done.charge.charge_id
            hidden = [await missing(backoffice.get_clone(clone_id)), await missing(backoffice.get_charge(charge_id))]
            absent = [await missing(backoffice.get_clone("cln_0")), await missing(backoffice.get_charge("chg_0"))]
            for call in (backoffice.create_charge(clone_id, Money(1, "USD")),):
                assert await missing(call) == hidden[0]
            seen = {
                name: {charge.charge_id async for charge in client.list_charges()}
                for name, client in (("web", web), ("backoffice", backoffice), ("operator", all_))
            }
            by_clone = [charge async for charge in backoffice.list_charges(clone_id=clone_id)]
            looked = [(await client.lookup_request(request_id)).state.name for client in (web, backoffice)]
            with pytest.raises(RequestIdReused) as reused:
                await mesh.charge(backoffice, mesh.florist, request_id=request_id)

    assert [text.replace(clone_id, "cln_0").replace(charge_id, "chg_0") for text in hidden] == absent
    assert seen == {
        "web": {charge_id},
        "backoffice": {other.charge.charge_id},
        "operator": {charge_id, other.charge.charge_id},
    }
    assert (by_clone, looked) == ([], ["SUCCEEDED", "UNKNOWN"])
    assert "first_request_hash" not in reused.value.metadata


async def test_a_batch_is_its_callers_own_and_each_of_its_accounts_is_judged(mesh: Mesh) -> None:
    allowed, forbidden = (BatchPair(mesh.shopper, account) for account in (mesh.bakery, mesh.florist))
    mesh.write(
        "policy.yaml", POLICY.replace("[GetClone,", "[GetCloneBatch, ListCloneBatches, GetClone,").format(**vars(mesh))
    )

    async with mesh.serving():
        web, backoffice, all_ = (mesh.client(name) for name in ("web", "backoffice", "operator"))
        async with web, backoffice, all_:
            request_id = str(uuid.uuid4())
            made = await web.create_batch(BatchOperation.CLONE, [allowed], request_id=request_id)
            opened = await web.create_batch(BatchOperation.CLONE, None)
            await web.add_batch_items(opened.batch.batch_id, [allowed])
            for denied in (
                web.create_batch(BatchOperation.CLONE, [allowed, forbidden]),
                web.add_batch_items(opened.batch.batch_id, [forbidden]),
            ):
                with pytest.raises(CallerNotPermitted):
                    await denied
            with pytest.raises(ResourceNotFound):
                await backoffice.get_batch(made.batch.batch_id)
            with pytest.raises(RequestIdReused):
                await all_.create_batch(BatchOperation.CLONE, [allowed], request_id=request_id)
            seen = [{batch.batch_id async for batch in client.list_batches()} for client in (web, backoffice, all_)]

    both = {made.batch.batch_id, opened.batch.batch_id}
    assert seen == [both, set(), both]


async def missing(call: Any) -> Any:
    """Everything that a NOT_FOUND tells."""
    with pytest.raises(ResourceNotFound) as caught:
        await call
    error = caught.value
    return repr((str(error), error.code, sorted(error.metadata.items()), error.resource_type, error.resource_name))


async def test_a_changed_policy_counts_from_the_next_call_on_and_a_broken_one_does_not(mesh: Mesh) -> None:
    async with mesh.serving(), mesh.client("web") as web:
        await mesh.charge(web, mesh.bakery)
        mesh.write("policy.yaml", "version: 1\ncallers: [")
        await mesh.charge(web, mesh.bakery)
        mesh.write("policy.yaml", "version: 1\ncallers: {}")
        with pytest.raises(CallerNotPermitted):
            await mesh.charge(web, mesh.bakery)


async def test_each_decision_on_a_change_is_written_down(mesh: Mesh, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "cloneservice.audit")
    async with mesh.serving(), mesh.client("web") as web, mesh.client("cst_wrong") as nobody:
        request_id = str(uuid.uuid4())
        await mesh.charge(web, mesh.bakery, request_id=request_id)
        with pytest.raises(CallerNotPermitted):
            await mesh.charge(web, mesh.florist)
        with pytest.raises(CallerUnauthenticated):
            await mesh.charge(nobody, mesh.bakery)
        assert [clone async for clone in web.list_clones()] != []

    lines: list[Any] = [record.__dict__["fields"] for record in caplog.records if record.name == "cloneservice.audit"]
    assert [(line["decision"], line.get("caller"), line.get("reason"), line["accounts"]) for line in lines] == [
        ("allow", "web", None, [mesh.bakery]),
        ("deny", None, "CALLER_NOT_PERMITTED", [mesh.florist]),
        ("deny", None, "CALLER_UNAUTHENTICATED", [mesh.bakery]),
    ]
    assert (lines[0]["request_id"], lines[0]["amounts"]) == (request_id, ["1000 USD"])
    assert not [token for token in mesh.tokens.values() if token in caplog.text]
