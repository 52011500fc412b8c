"""`ports.StripeGateway` by the official SDK: its encoding, headers and version, our transport, no objects in between.

A call takes the SDK's path as far as the request is made (`_APIRequestor`), then leaves it: the SDK formats every body
for its log before it asks whether anybody listens, and builds objects that cost more than the call.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from typing import Any

import orjson
import stripe

from cloneservice_server.domain.errors import DomainError
from cloneservice_server.ports import AnswerLost, Refused, StripeAnswer, StripeCall
from cloneservice_server.stripe_gateway.credentials import STRIPE_API, Credentials
from cloneservice_server.stripe_gateway.errors import to_domain_error
from cloneservice_server.stripe_gateway.transport import StripeTransport, TransportSettings

_log = logging.getLogger(__name__)

API_VERSION = "2026-08-26.dahlia"
"""The version that every call names, whatever the SDK is pinned to: endive (2026-09-30) refuses `payment_method_types`
with `payment_method_types_no_longer_supported`, and the calls here are those that dahlia was recorded to take."""

_PATH = re.compile(r"/v1(?:/[A-Za-z0-9_\-]+)+")
_HEADER_VALUE = re.compile(r"[\x21-\x7e]{1,255}")


class SdkStripeGateway:
    """Stripe's HTTP API. Usable in one event loop; `aclose` ends it.

    `base_url` is Stripe's, or that of a double (test keys only, see Credentials). `api_version` defaults to
    `API_VERSION`. Raises ValueError when key and URL do not go together.
    """

    def __init__(
        self,
        api_key: str,
        *,
        base_url: str = STRIPE_API,
        api_version: str = API_VERSION,
        transport: TransportSettings | None = None,
    ) -> None:
        self._credentials = Credentials(api_key, base_url)
        # The SDK's telemetry names the machine and writes an id to the home directory; it has no switch per client.
        stripe.enable_telemetry = False
        encrypted = self._credentials.base_url.startswith("https:")
        self._transport = StripeTransport(transport, encrypted=encrypted)
        client = stripe.StripeClient(
            api_key,
            base_addresses={"api": self._credentials.base_url},
            stripe_version=api_version,
            max_network_retries=0,
            http_client=self._transport,
        )
        self._requestor = client._requestor  # noqa: SLF001 - the raw path below its logging; a test holds the SDK to it

    def __repr__(self) -> str:
        mode = "live" if self.livemode else "test"
        return f"<SdkStripeGateway {mode} {self._credentials.base_url}>"

    @property
    def livemode(self) -> bool:
        """Whether the key moves real money."""
        return self._credentials.livemode

    @property
    def key_fingerprint(self) -> str:
        """Tells keys apart; see Credentials."""
        return self._credentials.fingerprint

    async def send(self, call: StripeCall, *, idempotency_key: str = "", timeout_s: float = 30.0) -> StripeAnswer:
        """Make one call, with one HTTP request, within `timeout_s` seconds.

        Raises NotSent, AnswerLost or Refused; ValueError for a call that must not be made (a POST without a key).
        """
        _check(call, idempotency_key)
        method, url, headers, body = self._request(call, idempotency_key)
        status, answered, content = await self._transport.exchange(method, url, headers, body, timeout_s)
        if _log.isEnabledFor(logging.DEBUG):
            request_id = answered.get("Request-Id", "")
            _log.debug(
                "stripe %s %s %s -> %d %s", call.method, call.path, call.account or "platform", status, request_id
            )
        return _interpret(call, status, answered, content)

    def _request(self, call: StripeCall, idempotency_key: str) -> tuple[str, str, dict[str, str], str | None]:
        options: stripe.RequestOptions = {
            "stripe_account": call.account or None,
            "idempotency_key": idempotency_key or None,
        }
        made = self._requestor._args_for_request_with_retries(  # noqa: SLF001 - see the module's docstring
            call.method.lower(), call.path, call.params, options, base_address="api", api_mode="V1"
        )
        method, url, headers, body = made[:4]
        return method.upper(), url, headers, body

    def explain(self, refused: Refused, step: str) -> DomainError:
        """What a refusal of the call of kind `step` means to a caller of this service."""
        return to_domain_error(refused, step=step)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._transport.close_async()


def _check(call: StripeCall, idempotency_key: str) -> None:
    if call.method not in ("GET", "POST", "DELETE"):
        raise ValueError(f"no such method of Stripe's: {call.method!r}")
    if not _PATH.fullmatch(call.path):
        raise ValueError(f"not a path of Stripe's API: {call.path!r}")
    if call.method == "POST" and not idempotency_key:
        raise ValueError(f"POST {call.path} without an idempotency key")
    if call.method == "GET" and idempotency_key:
        raise ValueError(f"GET {call.path} with an idempotency key")
    for name, value in (("idempotency key", idempotency_key), ("connected account", call.account)):
        if value and not _HEADER_VALUE.fullmatch(value):
            raise ValueError(f"{name}: not a header value of 1 to 255 visible characters")


def _interpret(call: StripeCall, status: int, headers: Mapping[str, str], content: bytes) -> StripeAnswer:
    body = _decode(content)
    request_id = headers.get("Request-Id", "")
    replayed = headers.get("Idempotent-Replayed", "") == "true"
    if body is not None and 200 <= status < 300:
        return StripeAnswer(body, request_id, replayed)
    error = body.get("error") if body is not None and status >= 400 else None
    if not isinstance(error, dict):
        # What answered does not speak Stripe's language (a proxy's page, a cut body): what Stripe itself did is not
        # known, whatever the status.
        raise AnswerLost(f"HTTP {status} without a body of Stripe's")
    raise Refused(
        status=status,
        type=_text(error, "type"),
        code=_text(error, "code"),
        message=_text(error, "message"),
        param=_text(error, "param"),
        decline_code=_text(error, "decline_code"),
        body=error,
        stripe_request_id=request_id,
        replayed=replayed,
        rate_limited_reason=headers.get("Stripe-Rate-Limited-Reason", ""),
        account=call.account,
    )


def _decode(content: bytes) -> dict[str, Any] | None:
    try:
        body = orjson.loads(content)
    except orjson.JSONDecodeError:
        return None
    return body if isinstance(body, dict) else None


def _text(error: dict[str, Any], name: str) -> str:
    value = error.get(name)
    return value if isinstance(value, str) else ""
