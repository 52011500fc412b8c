"""Failures as Stripe's clients see them: `{"error": {...}}` with a status.

Raised by validation, by the objects and by the protocol layer alike; rendered in one place (`render.envelope`).
"""

from typing import Any

INVALID_REQUEST = "invalid_request_error"
CARD = "card_error"
IDEMPOTENCY = "idempotency_error"
API = "api_error"


class ApiError(Exception):
    """One Stripe error.

    `executed` says whether the operation had begun to execute when it failed. Such a failure is kept under its
    idempotency key and answered with `Stripe-Should-Retry: false`; a refusal before execution is neither, and
    everything that the call wrote until then is taken back.

    `extra` holds further members of the error object (`decline_code`, `charge`, `payment_intent`, `payment_method`,
    `setup_intent`, `advice_code`, ...). Members that are None are left out. Wire objects are given in the newest
    shape, unexpanded, as handlers return them.
    """

    def __init__(
        self,
        status: int,
        type: str,  # noqa: A002 - Stripe's name of the member
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        executed: bool = False,
        headers: dict[str, str] | None = None,
        **extra: Any,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.type = type
        self.message = message
        self.code = code
        self.param = param
        self.executed = executed
        self.headers = headers or {}
        self.extra = extra

    def members(self) -> dict[str, Any]:
        """The members of the error object, without those that only the renderer knows (doc_url, request_log_url)."""
        found = {"type": self.type, "message": self.message, "code": self.code, "param": self.param, **self.extra}
        return {name: value for name, value in found.items() if value is not None}


def invalid(
    message: str, *, code: str | None = None, param: str | None = None, executed: bool = False, **extra: Any
) -> ApiError:
    """400 invalid_request_error, by default one that is refused before execution."""
    return ApiError(400, INVALID_REQUEST, message, code=code, param=param, executed=executed, **extra)


def state_error(message: str, *, code: str | None, param: str | None = None, **extra: Any) -> ApiError:
    """400 invalid_request_error for an object in the wrong state; executed, hence kept under its idempotency key."""
    return ApiError(400, INVALID_REQUEST, message, code=code, param=param, executed=True, **extra)


def resource_missing(noun: str, id: str, *, param: str | None, in_path: bool, hint: str = "") -> ApiError:  # noqa: A002 - Stripe's name
    """404 for an id in the path, 400 for one in the body or query; `noun` is spelt as Stripe spells it in messages."""
    message = f"No such {noun}: '{id}'{hint}"
    return ApiError(404 if in_path else 400, INVALID_REQUEST, message, code="resource_missing", param=param)


def card_error(
    message: str, *, code: str, decline_code: str | None = None, param: str | None = None, **extra: Any
) -> ApiError:
    """402 card_error: the payment details were refused; executed."""
    return ApiError(402, CARD, message, code=code, param=param, executed=True, decline_code=decline_code, **extra)
