"""What a shopper saves on the platform."""

from __future__ import annotations

from collections.abc import Sequence

from cloneservice import _decode
from cloneservice._calls.call import Call, ListCall, new_request_id
from cloneservice._results import SaveResult, SetupResult
from cloneservice._values import NewCustomer, PlatformPaymentMethod
from cloneservice.v1 import clone_service_pb2 as pb


def _new_customer(customer: NewCustomer | None) -> pb.NewCustomer | None:
    if customer is None:
        return None
    return pb.NewCustomer(
        external_reference=customer.external_reference,
        email=customer.email,
        name=customer.name,
        metadata=customer.metadata,
    )


def _one_customer(platform_customer_id: str, new_customer: NewCustomer | None) -> None:
    if bool(platform_customer_id) == (new_customer is not None):
        raise ValueError("give either platform_customer_id or new_customer")


def create_setup(
    *,
    platform_customer_id: str = "",
    new_customer: NewCustomer | None = None,
    on_behalf_of_account_id: str = "",
    payment_method_types: Sequence[str] = (),
    request_id: str = "",
    timeout_s: float | None = None,
) -> Call[SetupResult]:
    """Start collecting a payment method on the platform; the answer's client secret is for Stripe.js.

    Args:
        platform_customer_id: Existing customer (cus_...); or give `new_customer`.
        new_customer: Customer to create.
        on_behalf_of_account_id: Account (acct_...) whose country's rules (SCA) the set-up must satisfy.
        payment_method_types: Stripe types to offer; empty means what the platform has on.
        request_id: Key of the intent, a UUID; made here when not given.
        timeout_s: Seconds for all tries together.

    Raises:
        ValueError: Both or neither of the two customers are given.
        CloneServiceError: See the tree in the package's documentation.
    """
    _one_customer(platform_customer_id, new_customer)
    key = request_id or new_request_id()
    request = pb.CreateSetupRequest(
        request_id=key,
        new_customer=_new_customer(new_customer),
        on_behalf_of_account_id=on_behalf_of_account_id,
        payment_method_types=payment_method_types,
    )
    if platform_customer_id:  # one arm of a oneof: set only when it is the one
        request.platform_customer_id = platform_customer_id

    def decode(response: pb.CreateSetupResponse, replayed: bool) -> SetupResult:
        return SetupResult(
            platform_customer=_decode.platform_customer(response.platform_customer),
            stripe_setup_intent_id=response.stripe_setup_intent_id,
            next_action=_decode.next_action(response.next_action),
            request_id=key,
            replayed=replayed,
        )

    return Call("CreateSetup", request, decode, key, timeout_s)


def save_payment_method(
    platform_payment_method_id: str,
    *,
    platform_customer_id: str = "",
    new_customer: NewCustomer | None = None,
    set_default: bool = False,
    request_id: str = "",
    timeout_s: float | None = None,
) -> Call[SaveResult]:
    """Save a payment method on a platform customer.

    Args:
        platform_payment_method_id: pm_... made by Stripe.js, or the legacy tok_... or src_...; never card data.
        platform_customer_id: Existing customer (cus_...); or give `new_customer`.
        new_customer: Customer to create.
        set_default: Make it the customer's default.
        request_id: Key of the intent, a UUID; made here when not given.
        timeout_s: Seconds for all tries together.

    Raises:
        ValueError: Both or neither of the two customers are given.
        CloneServiceError: See the tree in the package's documentation.
    """
    _one_customer(platform_customer_id, new_customer)
    key = request_id or new_request_id()
    request = pb.SavePaymentMethodRequest(
        request_id=key,
        new_customer=_new_customer(new_customer),
        platform_payment_method_id=platform_payment_method_id,
        set_default=set_default,
    )
    if platform_customer_id:
        request.platform_customer_id = platform_customer_id

    def decode(response: pb.SavePaymentMethodResponse, replayed: bool) -> SaveResult:
        return SaveResult(
            platform_customer=_decode.platform_customer(response.platform_customer),
            payment_method=_decode.platform_payment_method(response.payment_method),
            request_id=key,
            replayed=replayed,
        )

    return Call("SavePaymentMethod", request, decode, key, timeout_s)


def list_platform_payment_methods(
    platform_customer_id: str, *, page_size: int = 0, page_token: str = "", timeout_s: float | None = None
) -> ListCall[PlatformPaymentMethod]:
    """List what a platform customer (cus_...) has saved: iterate over the answer, or take it `.page()` by page.

    Args:
        platform_customer_id: Whose (cus_...).
        page_size: At most this many a page; 0 means 50, more than 200 means 200.
        page_token: `next_page_token` of an earlier page, to begin there.
        timeout_s: Seconds for each page.
    """
    request = pb.ListPlatformPaymentMethodsRequest(
        platform_customer_id=platform_customer_id, page_size=page_size, page_token=page_token
    )

    def items(response: pb.ListPlatformPaymentMethodsResponse) -> tuple[PlatformPaymentMethod, ...]:
        return tuple(map(_decode.platform_payment_method, response.payment_methods))

    return ListCall("ListPlatformPaymentMethods", request, items, timeout_s)
