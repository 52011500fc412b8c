"""`expand[]`: ids replaced by the objects that they name, up to four levels deep."""

from typing import Any, NamedTuple

from fake_stripe.errors import invalid
from fake_stripe.objects.registry import expander_for
from fake_stripe.openapi.catalog import expandable
from fake_stripe.render.references import type_of
from fake_stripe.scope import Scope, Wire

MAX_DEPTH = 4

Tree = dict[str, "Tree"]

_UNTIL = {
    ("charge", "destination"): "9999",
    ("charge", "dispute"): "9999",
    ("charge", "invoice"): "2025-03-31",
    ("charge", "order"): "9999",
    ("payment_intent", "charges"): "2022-11-15",
    ("payment_intent", "invoice"): "2025-03-31",
}
"""Members that the newest document does not have, and the version that took them away: expandable before it."""

_LEGACY = frozenset({"card", "source", "bank_account"})
"""What a `payment_method` may name besides PaymentMethods; it is shown as one."""


def tree_of(paths: list[str]) -> Tree:
    """Nested names of all paths; raises `property_expansion_max_depth` for one of more than four levels.

    The `data` of a list is one of the four: `data.payment_intent.customer.default_source` is as deep as it goes
    (docs.stripe.com/api/expanding_objects).
    """
    root: Tree = {}
    for path in paths:
        names = path.split(".")
        if len(names) > MAX_DEPTH:
            raise invalid(
                f"You cannot expand more than {MAX_DEPTH} levels of a property. Property: {path}",
                code="property_expansion_max_depth",
                param="expand",
            )
        node = root
        for name in names:
            node = node.setdefault(name, {})
    return root


class At(NamedTuple):
    """Where the walk stands.

    Attributes:
        scope: whose objects ids are looked up among.
        owner: type of the innermost object.
        within: dotted name of the hash inside that object, or "".
        path: the dotted name from the root, for messages.
    """

    scope: Scope
    owner: str
    within: str
    path: str

    def member(self, name: str) -> "At":
        """One member further in."""
        return At(
            self.scope,
            self.owner,
            f"{self.within}.{name}" if self.within else name,
            f"{self.path}.{name}" if self.path else name,
        )

    def inside(self, found: Wire, scope: Scope) -> "At":
        """Inside another object."""
        return At(scope, found.get("object", ""), "", self.path)


def expand(value: Wire, tree: Tree, scope: Scope) -> Wire:
    """A shallow duplicate of `value` with the members of `tree` expanded; the stored objects stay as they are."""
    return _expand(value, tree, At(scope, value.get("object", ""), "", ""))


def _expand(value: Wire, tree: Tree, at: At) -> Wire:
    if not tree:
        return value
    shown = dict(value)
    for name, below in tree.items():
        here = at.member(name)
        if name == "data" and isinstance(value.get("data"), list):
            shown["data"] = [_expand(item, below, here.inside(item, at.scope)) for item in value["data"]]
        elif name != "total_count" or at.owner not in ("list", "search_result"):
            _expand_member(shown, name, below, here)
    return shown


def _expand_member(shown: Wire, name: str, below: Tree, at: At) -> None:
    expander = expander_for(at.owner, at.within) if at.owner and _has_version(at) else None
    found: Any = expander(at.scope, shown) if expander else shown.get(name)
    if isinstance(found, str):
        shown[name] = _named(shown, found, below, at)
    elif isinstance(found, dict):
        shown[name] = _within(found, below, at, known=expander is not None)
    elif isinstance(found, list):
        shown[name] = [_listed(item, below, at) for item in found]
    elif found is not None or not (expander or (below and name in shown) or _may_expand(at)):
        raise _not_expandable(at)
    elif expander:
        shown[name] = None


def _named(holder: Wire, id_: str, below: Tree, at: At) -> Any:
    target, where = resolve(at.scope, holder, id_)
    if target is not None:
        return _expand(target, below, at.inside(target, where))
    if not _may_expand(at):
        raise _not_expandable(at)
    return id_


def _within(found: Wire, below: Tree, at: At, *, known: bool) -> Wire:
    if "object" in found:
        return _expand(found, below, at.inside(found, _home(at.scope, found))) if below else found
    if not below and not known and not _may_expand(at):
        raise _not_expandable(at)
    return _expand(found, below, at)


def _listed(item: Any, below: Tree, at: At) -> Any:
    if isinstance(item, str):
        target, where = resolve(at.scope, {}, item)
        return item if target is None else _expand(target, below, at.inside(target, where))
    return _expand(item, below, at.inside(item, at.scope)) if isinstance(item, dict) else item


def _may_expand(at: At) -> bool:
    return expandable(at.owner, at.within) or ((at.owner, at.within) in _UNTIL and _has_version(at))


def _has_version(at: At) -> bool:
    """Whether this member is there in the version of the call; calls that name none see the members of all versions."""
    until = _UNTIL.get((at.owner, at.within))
    call = at.scope.world.current
    return until is None or call is None or not call.pinned or call.version < until


def _not_expandable(at: At) -> Exception:
    return invalid(f"This property cannot be expanded ({at.path}).", param="expand")


def resolve(scope: Scope, holder: Wire, id: str) -> tuple[Wire | None, Scope]:  # noqa: A002 - Stripe's name
    """The object that an id names, and where it lives: here, on the platform, or on the holder's `account`."""
    type_ = type_of(id)
    if type_ is None:
        return None, scope
    if holder.get("payment_method") == id and type_ in _LEGACY:
        from fake_stripe.objects import legacy_views  # noqa: PLC0415 - legacy details are rarely expanded

        return legacy_views.find(scope, id), scope
    for place in _places(scope, holder):
        found = place.get(type_, id) or place.tombstone(type_, id)
        if found is not None:
            return found, place
    return None, scope


def _places(scope: Scope, holder: Wire) -> list[Scope]:
    world = scope.world
    places = [scope]
    if not scope.is_platform:
        places.append(world.platform_scope(scope.livemode))
    account = holder.get("account")
    if isinstance(account, str) and account != scope.account_id:
        known = world.known_scope(account, livemode=scope.livemode)
        if known is not None:
            places.append(known)
    return places


def _home(scope: Scope, found: Wire) -> Scope:
    """An expander may answer another account's object: what it refers to is looked up there."""
    id_ = found.get("id")
    if not isinstance(id_, str) or scope.get(found["object"], id_) is not None:
        return scope
    for other in scope.world.scopes():
        if other.livemode == scope.livemode and other.get(found["object"], id_) is not None:
            return other
    return scope
