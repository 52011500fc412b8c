"""`a[b][0][c]=v` pairs as nested dicts and lists of strings (docs.stripe.com/api; both array forms are in use)."""

from typing import Any

Raw = dict[str, Any]
"""Names to `str`, `Raw` or `list`; indexed arrays are still a Raw with digits for names."""

_paths: dict[str, tuple[str, ...]] = {}


def nest(pairs: list[tuple[str, str]]) -> Raw:
    """Nested parameters; of a name that is given twice the last one counts."""
    root: Raw = {}
    for name, value in pairs:
        if "[" in name:
            _put(root, _paths.get(name) or _path(name), value)
        else:
            root[name] = value
    return root


def _path(name: str) -> tuple[str, ...]:
    """`a[b][]` as ("a", "b", ""); a name with unbalanced brackets is taken whole."""
    head, _, rest = name.partition("[")
    path = (head, *rest[:-1].split("][")) if head and rest.endswith("]") else (name,)
    if len(_paths) > 4096:
        _paths.clear()
    _paths[name] = path
    return path


def _put(root: Raw, path: tuple[str, ...], value: str) -> None:
    node = root
    last = len(path) - 1
    for depth, part in enumerate(path):
        if depth == last:
            node[part] = value
            return
        below = node.get(part)
        if path[depth + 1] == "":
            if not isinstance(below, list):
                below = node[part] = []
            if depth + 1 == last:
                below.append(value)
                return
            _into_list(below, path[depth + 2 :], value)
            return
        if not isinstance(below, dict):
            below = node[part] = {}
        node = below


def _into_list(items: list[Any], path: tuple[str, ...], value: str) -> None:
    """`a[][b]=1&a[][c]=2` is one item; a name that the last item has already opens the next."""
    if not items or not isinstance(items[-1], dict) or (path[0] in items[-1] and len(path) == 1):
        items.append({})
    _put(items[-1], path, value)


def bracketed(parent: str, name: str) -> str:
    """The name of a member as Stripe writes it: `a[b]`; the top level has none around it."""
    return f"{parent}[{name}]" if parent else name


def items_of(raw: Any) -> list[Any] | None:
    """The items of a raw array in either form, None when it is none."""
    if isinstance(raw, list):
        return raw
    if isinstance(raw, dict) and all(name.isdecimal() for name in raw):
        return [raw[name] for name in sorted(raw, key=int)]
    return None


def shown(raw: Any) -> str:
    """A raw value as Stripe's messages show it, the way Ruby prints a hash."""
    if isinstance(raw, dict):
        return "{" + ", ".join(f'"{name}"=>{_quoted(value)}' for name, value in raw.items()) + "}"
    if isinstance(raw, list):
        return "[" + ", ".join(_quoted(value) for value in raw) + "]"
    return str(raw)


def _quoted(raw: Any) -> str:
    return f'"{raw}"' if isinstance(raw, str) else shown(raw)
