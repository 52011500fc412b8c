"""Who calls, and whether they may: decided before anything is looked up, written down for every change.

What a caller may not know of looks to it as if it were not there: a clone or charge of another's account is NOT_FOUND
with the very answer that a made-up id gets. An account that the request itself names may be refused openly.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from cloneservice.v1 import clone_service_pb2 as pb

from cloneservice_server.access.identity import AUTHORIZATION, XFCC, identities_of, peer_of
from cloneservice_server.access.policy import Amount, Policy, Rule
from cloneservice_server.access.tokens import Tokens
from cloneservice_server.access.watched import Watched
from cloneservice_server.domain.callers import ANYBODY, Caller
from cloneservice_server.domain.errors import CallerNotPermitted, CallerUnauthenticated, DomainError, not_found
from cloneservice_server.rpc import validate
from cloneservice_server.rpc.caller import CALLER
from cloneservice_server.rpc.interceptors.logging import loggable_id
from cloneservice_server.rpc.interceptors.wrap import Context, GuardInterceptor
from cloneservice_server.rpc.scope import MONEY_OF_CHARGE, Scope, scope_of

_audit = logging.getLogger("cloneservice.audit")
_NO_SCOPE = Scope()
_SHOWN = 20
"""So many accounts, resources and amounts of one request are written down."""


@dataclass(frozen=True, slots=True)
class Found:
    """Where a resource lives, and, of a charge, how much it is about."""

    accounts: tuple[str, ...]
    amounts: tuple[Amount, ...] = ()
    owner: str | None = None
    """Of what has no account of its own (a batch): the caller who made it, and who alone sees it unless it sees all."""


Find = Callable[[str], Awaitable[Found | None]]
"""Id to where it lives; None when there is no such resource."""


@dataclass(slots=True, eq=False)
class Access:
    """What decides. Without `policy` everybody who is identified may do everything; without `tokens` either, everybody.

    `resources` finds the accounts of a resource type. One that it does not know can be reached only by callers who may
    reach every account.
    """

    policy: Watched[Policy] | None = None
    tokens: Watched[Tokens] | None = None
    trusted_proxies: frozenset[str] = frozenset()
    resources: dict[str, Find] = field(default_factory=dict)

    @property
    def required(self) -> bool:
        """Whether a caller must say who it is."""
        return self.policy is not None or self.tokens is not None

    def files(self) -> dict[str, Watched[Any]]:
        """The files that are followed, by what they are."""
        found: dict[str, Watched[Any] | None] = {"policy": self.policy, "tokens": self.tokens}
        return {name: watched for name, watched in found.items() if watched is not None}

    def identify(self, context: Context) -> tuple[str, ...]:
        """Identities of the caller. Raises CallerUnauthenticated."""
        metadata: dict[str, str] = {}
        for key, value in context.invocation_metadata() or ():
            if key in (XFCC, AUTHORIZATION):
                text = value if isinstance(value, str) else bytes(value).decode("utf-8", "replace")
                metadata[key] = f"{metadata[key]},{text}" if key in metadata else text
        identities = identities_of(
            peer_of(context.peer(), context.auth_context()),  # type: ignore[arg-type]  # the stubs know the sync one
            metadata,
            trusted_proxies=self.trusted_proxies,
            tokens=None if self.tokens is None else self.tokens.current(),
        )
        if self.required and not identities:
            raise CallerUnauthenticated(
                "This server must know who calls: show a client certificate with a URI or DNS name, or send a bearer "
                "token"
            )
        return identities

    async def admit(self, rpc: str, request: Any, scope: Scope, identities: tuple[str, ...]) -> Caller:
        """The caller, if it may make this call, which reaches `scope`.

        Raises CallerNotPermitted, ResourceNotFound; InvalidRequest for a request that lacks what it would be judged by.
        """
        if self.policy is None:
            return Caller(identities[0]) if identities else ANYBODY
        rule = self.policy.current().rule_for(identities)
        if rule is None:
            raise CallerNotPermitted(
                f"The policy knows no caller with the identity {identities[0]}",
                {"rpc": rpc, "denied": "caller", "identity": identities[0]},
            )
        _decide(rule, rpc, request, scope)
        for kind, name in scope.resources:
            await self._check_resource(rule, rpc, kind, name)
        return rule.caller

    async def _check_resource(self, rule: Rule, rpc: str, kind: str, name: str) -> None:
        counts = rpc in MONEY_OF_CHARGE and rule.max_amounts is not None
        if rule.caller.accounts is None and not counts:
            return
        find = self.resources.get(kind)
        if find is None:
            _refuse(rpc, rule.why_not(rpc, (), (), everywhere=True))
            return
        found = await find(name)
        if found is None or not _is_visible(rule.caller, found):
            raise not_found(kind, name)
        if counts:
            _refuse(rpc, rule.why_not(rpc, (), found.amounts, everywhere=False))


def _is_visible(caller: Caller, found: Found) -> bool:
    owned = found.owner is None or caller.accounts is None or (found.owner != "" and caller.owns(found.owner))
    return owned and all(map(caller.sees, found.accounts))


def _decide(rule: Rule, rpc: str, request: Any, scope: Scope) -> None:
    why = rule.why_not(rpc, scope.accounts, scope.amounts, everywhere=scope.everywhere)
    if why and scope.everywhere and rule.allows_rpc(rpc):
        validate.check(request)  # a field forgotten is better told than a permission missed
    _refuse(rpc, why)


def _refuse(rpc: str, why: str) -> None:
    if why:
        raise CallerNotPermitted(f"This caller {why}", {"rpc": rpc, "denied": why})


# ------------------------------------------------------------------------------------------------------------- guard


def access_interceptor(access: Access) -> GuardInterceptor:
    """Lets nobody through whom `access` does not admit; tells the servicer who calls."""
    mutations = mutation_names()

    @asynccontextmanager
    async def guard(rpc: str, request: Any, context: Context) -> AsyncIterator[None]:
        identities: tuple[str, ...] = ()
        scope = scope_of(rpc, request) if access.required else _NO_SCOPE
        try:
            identities = access.identify(context)
            caller = await access.admit(rpc, request, scope, identities)
        except DomainError as denied:
            if access.required:
                _write(
                    rpc, request, scope, decision="deny", identities=identities, reason=denied.reason, why=_why(denied)
                )
            raise
        if access.required and rpc in mutations:
            _write(rpc, request, scope, decision="allow", identities=identities, caller=caller.name)
        token = CALLER.set(caller)
        try:
            yield
        finally:
            CALLER.reset(token)

    return GuardInterceptor(guard)


def mutation_names() -> frozenset[str]:
    """RPCs that change something: those whose request has a request_id of its own, and Stripe's webhooks."""
    methods = pb.DESCRIPTOR.services_by_name["CloneService"].methods
    changing = {one.name for one in methods if "request_id" in one.input_type.fields_by_name}
    return frozenset(changing - {"LookupRequest"} | {"HandleStripeEvent"})


def _write(rpc: str, request: Any, scope: Scope, **decided: object) -> None:
    fields: dict[str, object] = {"method": rpc, **decided}
    fields["accounts"] = [loggable_id(account) for account in scope.accounts[:_SHOWN]]
    fields["resources"] = [loggable_id(name) for _, name in scope.resources[:_SHOWN]]
    fields["amounts"] = [_shown(amount) for amount in scope.amounts[:_SHOWN]]
    request_id = getattr(request, "request_id", "")
    if request_id:
        fields["request_id"] = loggable_id(request_id)
    _audit.info("access", extra={"fields": fields})


def _shown(amount: Amount) -> str:
    return f"{amount.minor_units} {amount.currency if amount.currency.isalpha() and len(amount.currency) == 3 else '?'}"


def _why(denied: DomainError) -> str:
    """Words of ours only: other errors repeat what the caller sent."""
    return denied.metadata.get("denied", "")
