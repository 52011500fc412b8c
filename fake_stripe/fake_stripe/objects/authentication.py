"""3DS: what an intent asks of its shopper, and how a test answers for them.

The challenge page (`challenge_page`) is served by the fake itself at `/_fake/authenticate/{intent}`; `resolve` is what
its buttons and the control API call. Each kind of intent registers how it goes on.
"""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import quote

from fake_stripe.scope import Scope, Wire
from fake_stripe.world import World

Continuation = Callable[[Scope, Wire, str], None]
_continuations: dict[str, Continuation] = {}
OUTCOMES = ("succeeded", "failed", "canceled")


def continue_with(kind: str, continuation: Continuation) -> None:
    """Register what `resolve` does for intents of type `kind` (`payment_intent`, `setup_intent`)."""
    _continuations[kind] = continuation


def challenge_url(scope: Scope, intent: Wire, *, base_url: str) -> str:
    """Where the challenge of an intent is shown; the world and the account are part of it."""
    query = f"?key=sk_test_{quote(scope.world.name)}&account={scope.account_id}"
    return f"{base_url}/_fake/authenticate/{intent['id']}{query}"


def begin(scope: Scope, intent: Wire, return_url: str | None, *, base_url: str = "") -> Wire:
    """Start a challenge and return the intent's `next_action`.

    With a `return_url` the shopper is sent to the challenge page (`redirect_to_url`); without one Stripe.js would run
    it (`use_stripe_sdk`, of which `stripe_js` names the same page).
    """
    url = challenge_url(scope, intent, base_url=base_url)
    scope.hidden(intent["id"])["challenge"] = {"return_url": return_url, "state": "open"}
    if return_url:
        return {"redirect_to_url": {"return_url": return_url, "url": url}, "type": "redirect_to_url"}
    return {"type": "use_stripe_sdk", "use_stripe_sdk": _fingerprinting(scope, intent, url)}


def _fingerprinting(scope: Scope, intent: Wire, url: str) -> Wire:
    """What Stripe.js is told for 3DS 2: a directory server, its keys and the attempt to continue."""
    text = scope.world.ids.text
    attempt = scope.new_id("payatt", like=intent["id"])
    transaction = "-".join((text(8), text(4), text(4), text(4), text(12))).lower()
    return {
        "directory_server_encryption": {
            "algorithm": "RSA",
            "certificate": "fake_stripe has no certificate",
            "directory_server_id": "A000000003",
            "root_certificate_authorities": ["fake_stripe has no certificate"],
        },
        "directory_server_name": "visa",
        "merchant": scope.account_id,
        "one_click_authn": None,
        "server_transaction_id": transaction,
        "stripe_js": url,
        "three_d_secure_2_source": attempt,
        "three_ds_frontend_optimizations": None,
        "three_ds_method_url": "",
        "three_ds_optimizations": "kf",
        "type": "stripe_3ds2_fingerprint",
    }


def microdeposits(scope: Scope, intent: Wire, *, base_url: str = "") -> Wire:
    """The `next_action` of a bank account to be verified by deposits (docs.stripe.com/payments/ach-direct-debit)."""
    arrival = (scope.world.clock.now() // 86_400 + 2) * 86_400
    return {
        "type": "verify_with_microdeposits",
        "verify_with_microdeposits": {
            "arrival_date": arrival,
            "hosted_verification_url": challenge_url(scope, intent, base_url=base_url),
            "microdeposit_type": "descriptor_code",
        },
    }


def proof() -> Wire:
    """The `three_d_secure` of a charge whose shopper passed a challenge."""
    return {
        "authentication_flow": "challenge",
        "electronic_commerce_indicator": "05",
        "exemption_indicator": None,
        "result": "authenticated",
        "result_reason": None,
        "transaction_id": "fake-3ds-transaction",
        "version": "2.2.0",
    }


def find(world: World, intent_id: str) -> tuple[Scope, Wire]:
    """The intent with this id, wherever in the world it lives; KeyError when there is none."""
    kind = "setup_intent" if intent_id.startswith("seti_") else "payment_intent"
    for scope in world.scopes():
        intent = scope.get(kind, intent_id)
        if intent is not None:
            return scope, intent
    raise KeyError(f"no intent {intent_id!r} in this world")


def resolve(scope: Scope, intent_id: str, outcome: str = "succeeded") -> Wire:
    """Answer the challenge of an intent for its shopper; returns the intent.

    Args:
        scope: where the intent lives.
        intent_id: a PaymentIntent or SetupIntent in requires_action.
        outcome: `succeeded`, `failed` or `canceled` (the shopper closed the challenge).

    Raises:
        KeyError: there is no such intent.
        ValueError: no such outcome, or the intent waits for no authentication.
    """
    if outcome not in OUTCOMES:
        raise ValueError(f"outcome must be one of {', '.join(OUTCOMES)}, not {outcome!r}")
    kind = "setup_intent" if intent_id.startswith("seti_") else "payment_intent"
    intent = scope.get(kind, intent_id)
    if intent is None:
        raise KeyError(f"no intent {intent_id!r} on {scope.account_id}")
    if not is_open(scope, intent):
        raise ValueError(f"{intent_id} waits for no authentication: its status is {intent['status']}")
    scope.hidden(intent_id)["challenge"]["state"] = outcome
    _load(kind)(scope, intent, outcome)
    return intent


def is_open(scope: Scope, intent: Wire) -> bool:
    """Whether the intent waits for its shopper's answer."""
    challenge = scope.hidden(intent["id"]).get("challenge") or {}
    return intent["status"] == "requires_action" and challenge.get("state") == "open"


def _load(kind: str) -> Continuation:
    if kind not in _continuations:
        # Registered when the module of that intent is imported, which a fresh process may not have done yet.
        import importlib  # noqa: PLC0415 - only for the first challenge after a restore

        importlib.import_module(f"fake_stripe.objects.{kind}s")
    return _continuations[kind]


def return_address(scope: Scope, intent: Wire) -> str | None:
    """Where the shopper goes back to after the challenge, with the parameters that Stripe adds."""
    url = (scope.hidden(intent["id"]).get("challenge") or {}).get("return_url")
    if not url:
        return None
    kind = str(intent["object"])
    status = "succeeded" if intent["status"] in ("succeeded", "requires_capture", "processing") else "failed"
    query = f"{kind}={intent['id']}&{kind}_client_secret={quote(str(intent['client_secret']))}&redirect_status={status}"
    return f"{url}{'&' if '?' in url else '?'}{query}"
