"""docs/settings.md, made from the settings (`cloneservice-server settings`), so that it cannot lag behind."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import itertools
from typing import Any

from cloneservice_server import settings as module
from cloneservice_server.settings import Settings

_HEAD = """\
# Settings of cloneservice-server

Made by `make generate`; a test compares it with the code.

Each setting can be given as a flag, in the environment, or in the TOML file that `--config` names (by the name of its
flag with underscores: `listen = "0.0.0.0:50051"`); a flag wins over the environment, that over the file, that over the
default. Secrets are in none of them: the Stripe key comes from `STRIPE_API_KEY` or `--stripe-api-key-file`.

| flag | environment | default | what it is |
|---|---|---|---|
"""
_TAIL = """
| variable alone | what it is |
|---|---|
| `STRIPE_API_KEY` | The platform's secret key. |
| `STRIPE_WEBHOOK_SECRETS` | Secrets of webhook endpoints (`whsec_...`), separated by commas. |
| `CLONESERVICE_PAGE_TOKEN_KEY` | Signs page tokens; derived from the Stripe key when empty. |
"""


def page() -> str:
    """The page."""
    told = _docstrings()
    rows = [_row(setting, told[setting.name]) for setting in dataclasses.fields(Settings) if "help" in setting.metadata]
    return _HEAD + "".join(rows) + _TAIL


def _row(setting: dataclasses.Field[Any], text: str) -> str:
    flag = f"--{setting.name.replace('_', '-')}"
    if str(setting.type).startswith("bool"):
        flag += f"`, `--no-{flag[2:]}"
    default = "" if setting.default in ("", None) else f"`{setting.default}`"
    choices = setting.metadata.get("choices")
    if choices:
        text = f"{text} One of {', '.join(f'`{choice}`' for choice in choices)}."
    elif setting.type == "int":
        text = f"{text} {setting.metadata['low']} to {setting.metadata['high']}."
    return f"| `{flag}` | `CLONESERVICE_{setting.name.upper()}` | {default} | {text} |\n"


def _docstrings() -> dict[str, str]:
    """The text below each field, on one line."""
    tree = ast.parse(inspect.getsource(module))
    (body,) = [node.body for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "Settings"]
    found = {}
    for field, text in itertools.pairwise(body):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(text, ast.Expr):
            found[field.target.id] = " ".join(str(ast.literal_eval(text.value)).split())
    return found
