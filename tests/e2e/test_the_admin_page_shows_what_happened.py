"""The admin page of a whole server: what a caller did is there, step by step, with the ids that Stripe's log knows."""

from __future__ import annotations

import re
import uuid
from pathlib import Path

import aiohttp
from cloneservice import AsyncCloneClient, Money
from cloneservice_server.access.tokens import new_token
from cloneservice_server.app import build_app
from cloneservice_server.clock import SystemClock
from cloneservice_server.ledger import open_ledger
from cloneservice_server.settings import load
from cloneservice_server.stripe_gateway.gateway import SdkStripeGateway

from tests.admin_site import basic
from tests.stripe_http import StripeHttp


async def test_a_charge_is_found_by_the_request_id_of_stripes_log(stripe: StripeHttp, tmp_path: Path) -> None:
    token, line = new_token("oncall")
    (tmp_path / "admin.tokens").write_text(line)
    flags = {
        "stripe": stripe.url,
        "ledger": f"sqlite:///{tmp_path}/ledger.db",
        "listen": "127.0.0.1:0",
        "admin_listen": "127.0.0.1:0",
        "admin_token_file": str(tmp_path / "admin.tokens"),
    }
    settings, clock, request_id = load(flags, {"STRIPE_API_KEY": stripe.api_key}), SystemClock(), str(uuid.uuid4())
    gateway = SdkStripeGateway(settings.stripe_api_key, base_url=settings.stripe_url)
    app = build_app(settings, gateway=gateway, ledger=open_ledger(settings.ledger, clock), clock=clock)
    account, shopper = stripe.post("/v1/accounts", type="standard")["id"], stripe.post("/v1/customers")["id"]
    card = stripe.post("/v1/payment_methods/pm_card_visa/attach", customer=shopper)["id"]
    await app.start()
    try:
        async with AsyncCloneClient(f"127.0.0.1:{app.port}") as client:
            await client.clone_and_charge(
                shopper, account, Money(1999, "USD"), platform_payment_method_id=card, request_id=request_id
            )
        assert app.admin is not None
        async with aiohttp.ClientSession(
            f"http://127.0.0.1:{app.admin.port}", headers={"Authorization": basic("oncall", token)}
        ) as page:
            shown = await (await page.get(f"/admin/requests/{request_id}")).text()
            ids = re.findall(r"Stripe's request <span class=\"id\">(req_\w+)", shown)
            found = [
                (await page.get(f"/admin/search?q={one}", allow_redirects=False)).headers["Location"] for one in ids
            ]
            lineage = await (await page.get(f"/admin/shoppers/{shopper}")).text()
            metrics = await (await page.get("/metrics")).text()
    finally:
        await app.stop(0)

    assert len(ids) >= 4
    assert found == [f"/admin/requests/{request_id}"] * len(ids)
    assert account in lineage
    assert "19.99 USD" in lineage
    assert 'cloneservice_file_reload_failures{file="admin_tokens"} 0.0' in metrics
