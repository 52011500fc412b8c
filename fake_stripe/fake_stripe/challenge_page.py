"""The 3DS challenge as its shopper sees it in a browser: two buttons, and what stands there afterwards.

Without any script, and readable without the style sheet of the double's other pages, which it links to.
"""

from __future__ import annotations

from html import escape

from fake_stripe.amounts import spelt
from fake_stripe.objects import authentication
from fake_stripe.scope import Scope, Wire

_BUTTONS = (
    ("succeeded", "Complete authentication", "primary"),
    ("failed", "Fail authentication", "danger"),
)


def asking(scope: Scope, intent: Wire, *, action: str) -> str:
    """The open challenge of an intent: its buttons POST `outcome` to `action`."""
    buttons = "".join(
        f'<button type="submit" name="outcome" value="{value}" id="{value}" class="{kind}">{label}</button> '
        for value, label, kind in _BUTTONS
    )
    return _page(
        "3D Secure test page",
        f"<p>{escape(_what(intent))} on <code>{escape(scope.account_id)}</code></p>"
        f'<form method="post" action="{escape(action, quote=True)}" class="row">{buttons}</form>',
    )


def answered(scope: Scope, intent: Wire) -> str:
    """A challenge that is over, with the way back to the shop, if it has one."""
    status = escape(str(intent["status"]))
    text = f"<p>{escape(_what(intent))} waits for no authentication. Its status is <code>{status}</code>.</p>"
    address = authentication.return_address(scope, intent)
    if address is not None and address.startswith(("http://", "https://")):
        text += f'<p><a href="{escape(address, quote=True)}">Back to the shop</a></p>'
    return _page("3D Secure test page", text)


def done() -> str:
    """What follows the answer of a shopper who came from no shop."""
    return _page("Done", "<p>Done. You can close this page.</p>")


def _what(intent: Wire) -> str:
    if intent["object"] == "setup_intent":
        return f"Set-up {intent['id']}"
    amount = f"{spelt(int(intent['amount']), intent['currency'])} {str(intent['currency']).upper()}"
    return f"Payment {intent['id']} of {amount}"


def _page(title: str, body: str) -> str:
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><link rel="icon" href="data:,">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f'<title>{title}</title><link rel="stylesheet" href="/_fake/ui/static/style.css"></head><body>'
        f'<main class="page" id="main"><section class="card"><div class="card-head"><h1>{title}</h1></div>'
        f'<div class="card-body stack">{body}</div></section></main></body></html>'
    )
