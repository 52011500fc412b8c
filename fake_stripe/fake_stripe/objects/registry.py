"""Which function answers which operation, and what a handler is given.

Object modules are imported on the first request to their resource, so that starting stays fast.
"""

import importlib
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from fake_stripe.scope import Scope, Wire
from fake_stripe.world import World

if TYPE_CHECKING:
    from fake_stripe.openapi.catalog import Operation


@dataclass(slots=True)
class Call:
    """One validated request.

    Attributes:
        scope: what the call acts upon: the account of `Stripe-Account`, else the platform, in the key's mode.
        platform: the platform's scope in the same mode; only the cloning calls read it.
        params: decoded, validated, coerced parameters; `""` means unset.
        path: the path parameters by the names of the OpenAPI document.
        version: the API version that the answer is shaped for.
        pinned: whether the request named that version; without a name, rules that newer versions made stricter are
            not applied, since the account's own default version is unknown.
        connect: whether `Stripe-Account`, or an account in the path, was used.
        key_kind: `sk`, `rk` or `pk`.
        now: unix seconds on the world's clock.
        expand: the paths to expand; rendering sees to them, handlers need not.
    """

    world: World
    scope: Scope
    platform: Scope
    params: dict[str, Any]
    path: dict[str, str]
    version: str
    connect: bool
    key_kind: str
    livemode: bool
    operation: "Operation"
    idempotency_key: str | None
    request_id: str
    now: int
    expand: list[str]
    url: str
    base_url: str
    pinned: bool = True


Handler = Callable[[Call], Wire]
Expander = Callable[[Scope, Wire], Any]
_H = TypeVar("_H", bound=Handler)
_E = TypeVar("_E", bound=Expander)

_handlers: dict[tuple[str, str], Handler] = {}
_expanders: dict[tuple[str, str], Expander] = {}
_loaded: set[str] = set()

# First segment after /v1/ -> the modules that register its operations, where it is not simply the module of that name.
_MODULES: dict[str, tuple[str, ...]] = {
    "account": ("accounts",),
    "accounts": ("accounts", "account_links", "capabilities", "external_accounts", "persons"),
    "customers": ("customers", "customer_sources", "payment_method_lists", "customer_balances", "tax_ids"),
    "payment_methods": (
        "payment_methods",
        "payment_method_creation",
        "payment_method_lists",
        "payment_method_updates",
    ),
    "application_fees": ("application_fees",),
    "balance_transactions": ("balance_transactions",),
    "balance": ("balance", "balance_transactions"),
    "charges": ("charges", "refunds", "disputes"),
    "test_helpers": ("test_clocks", "test_helpers", "confirmation_tokens"),
    "setup_attempts": ("setup_attempts",),
    "files": ("files",),
}

# Object type -> the modules that register its expansions.
_EXPANDING: dict[str, tuple[str, ...]] = {
    "customer": ("customers", "customer_sources", "customer_balances", "tax_ids"),
    "charge": ("charges", "refunds"),
    "account": ("accounts",),
    "payment_intent": ("legacy_members",),
}


def operation(method: str, template: str) -> Callable[[_H], _H]:
    """Register the handler of an operation; `template` exactly as in the OpenAPI document."""

    def register(handler: _H) -> _H:
        if (method, template) in _handlers:
            raise ValueError(f"{method} {template} has a handler already: {_handlers[method, template].__qualname__}")
        _handlers[method, template] = handler
        return handler

    return register


def expansion(object_type: str, field: str) -> Callable[[_E], _E]:
    """Register what `expand[]=field` puts into objects of a type, where the member is not simply another object's id.

    For members that appear only when expanded (`customer.sources`, `charge.refunds`) and for references to another
    account's objects (`application_fee.charge`). The function is given the scope and the object.
    """

    def register(expander: _E) -> _E:
        _expanders[object_type, field] = expander
        return expander

    return register


def handler_for(method: str, template: str) -> Handler | None:
    """The handler of an operation, or None when the operation is answered from a fixture."""
    handler = _handlers.get((method, template))
    if handler is None:
        segment = template.split("/", 3)[2] if template.count("/") > 1 else ""
        if segment not in _loaded:
            _load(segment, _MODULES.get(segment, (segment,)))
            handler = _handlers.get((method, template))
    return handler


def expander_for(object_type: str, field: str) -> Expander | None:
    """The registered expansion of a member, if it has one."""
    name = "expand:" + object_type
    if name not in _loaded:
        _load(name, _EXPANDING.get(object_type, (object_type + "s",)))
    return _expanders.get((object_type, field))


def _load(name: str, modules: tuple[str, ...]) -> None:
    for module in modules:
        full = f"fake_stripe.objects.{module}"
        if module.isidentifier() and importlib.util.find_spec(full) is not None:
            importlib.import_module(full)
    _loaded.add(name)


def modelled() -> set[tuple[str, str]]:
    """Every (method, template) that has a handler; loads all object modules."""
    import pkgutil  # noqa: PLC0415 - only the coverage report walks all modules

    import fake_stripe.objects  # noqa: PLC0415 - see above

    for found in pkgutil.iter_modules(fake_stripe.objects.__path__):
        importlib.import_module(f"fake_stripe.objects.{found.name}")
    return set(_handlers)
