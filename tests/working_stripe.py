"""A Stripe on which everything works, for tests of the engine that script what does not."""

from __future__ import annotations

import itertools
from typing import Any

from cloneservice_server.ports import StripeCall

from tests.fakes import ScriptedStripeGateway


def payment_intent(status: str, identifier: str = "pi_1", **more: Any) -> dict[str, Any]:
    received = 1999 if status == "succeeded" else 0
    return {"id": identifier, "object": "payment_intent", "status": status, "amount_received": received} | more


class WorkingStripe(ScriptedStripeGateway):
    """A Stripe on which everything works; tests script what does not."""

    def __init__(self) -> None:
        super().__init__()
        number = itertools.count(1)
        card = {"brand": "visa", "last4": "4242", "exp_month": 8, "exp_year": 2030, "fingerprint": "f"}

        def clone(call: StripeCall) -> dict[str, Any]:
            return {"id": f"pm_clone{next(number)}", "object": "payment_method", "type": "card", "card": card}

        def customer(call: StripeCall) -> dict[str, Any]:
            return {"id": f"cus_made{next(number)}", "object": "customer", "metadata": call.params["metadata"]}

        def intent(call: StripeCall) -> dict[str, Any]:
            return payment_intent("requires_confirmation", f"pi_{next(number)}")

        def confirm(call: StripeCall) -> dict[str, Any]:
            return payment_intent("succeeded", call.path.split("/")[3], latest_charge="ch_1")

        self.on("POST", r"/v1/payment_methods", clone)
        self.on("POST", r"/v1/payment_methods/[^/]+/attach", lambda call: clone(call) | {"id": call.path.split("/")[3]})
        self.on("POST", r"/v1/customers", customer)
        self.on("POST", r"/v1/customers/[^/]+", lambda call: {"id": call.path.split("/")[3], "object": "customer"})
        self.on("POST", r"/v1/payment_intents", intent)
        self.on("POST", r"/v1/payment_intents/[^/]+/confirm", confirm)
        self.on("GET", r"/v1/customers/[^/]+", lambda call: {"id": call.path.split("/")[3], "object": "customer"})

    def confirmed(self) -> list[StripeCall]:
        """Confirmations that took effect."""
        return [call for call in self.done if call.path.endswith("/confirm")]
