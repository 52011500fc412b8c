"""What is known of connected accounts: learned from their events, believed only as long as Stripe says the same."""

from __future__ import annotations

from cloneservice_server.domain import errors
from cloneservice_server.domain.values import ConnectedAccount
from cloneservice_server.ports import PutConnectedAccount, StripeCall
from cloneservice_server.workflows.run import Run


async def look_at_account(run: Run, account: str) -> ConnectedAccount:
    """The account as Stripe shows it to the platform now."""
    try:
        body = await run.read(StripeCall("GET", "/v1/account", account), step="account_read")
    except errors.AccountUnavailable:
        return ConnectedAccount(account, authorized=False, charges_enabled=False, update_time_us=run.now_us())
    enabled = bool(body.get("charges_enabled", True))
    return ConnectedAccount(account, charges_enabled=enabled, update_time_us=run.now_us())


async def require_account(run: Run, account: str, *, to_charge: bool = False) -> None:
    """Raise AccountUnavailable for an account known to have left, or (`to_charge`) not to take charges.

    Asked before something would be made or spent there. Nobody tells when an account comes back, so a bad word is
    checked with Stripe before it is believed; an account that nothing is known of costs no call.
    """
    known = await run.ledger.get_connected_account(account)
    if known is None or _serves(run, known, to_charge=to_charge):
        return
    now = await look_at_account(run, account)
    run.stage(PutConnectedAccount(now))
    if not _serves(run, now, to_charge=to_charge):
        raise unavailable(now)


def _serves(run: Run, known: ConnectedAccount, *, to_charge: bool) -> bool:
    # Test mode takes charges on accounts that are not onboarded.
    return known.authorized and (known.charges_enabled or not (to_charge and run.livemode))


def unavailable(known: ConnectedAccount) -> errors.AccountUnavailable:
    """Why an account cannot be used."""
    account = known.connected_account_id
    if known.authorized:
        message = f"{account} cannot take charges: see its requirements at Stripe"
    else:
        message = f"The platform may not act on {account}: not connected, or revoked"
    return errors.AccountUnavailable(message, {"connected_account_id": account})
