"""Requests to every operation of Stripe's API, drawn from the catalog with a seed: proper ones and spoilt ones."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlencode

from fake_stripe.openapi.catalog import Operation, catalog

from tests.fake_stripe.document_parameters import Drawn, Pairs, Pool, least

SEED = 20_260_826
SPOILT = 0.3
"""Share of the names and values of a spoilt request that are not what they should be."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One request; `kind` says how it was drawn."""

    kind: str
    method: str
    path: str
    pairs: tuple[tuple[str, str], ...]

    @property
    def form(self) -> str:
        """The parameters as they travel."""
        return urlencode(self.pairs)

    def __str__(self) -> str:
        return f"{self.method} {self.path} {self.form} ({self.kind})"


def corpus() -> list[Asked]:
    """At least six requests to each operation, and some to none; the same ones on every run."""
    rng = random.Random(SEED)
    drawn = Drawn(rng, Pool(rng))
    operations = list(catalog().operations())
    return [asked for operation in operations for asked in _of(operation, drawn)] + list(_of_nothing(operations))


def _of(operation: Operation, drawn: Drawn) -> Iterator[Asked]:
    path = re.sub(r"\{(\w+)\}", lambda name: f"{name[1]}_1", operation.path)

    def asked(kind: str, pairs: Pairs) -> Asked:
        return Asked(kind, operation.method, path, tuple(pairs))

    def chance(wild: float) -> Pairs:
        """Expansions are left out: hardly a word is one, and their refusal would hide everything else."""
        return [pair for pair in drawn.pairs(operation, wild=wild) if "expand" not in pair[0]]

    fewest = least(operation)
    yield asked("least", fewest)
    yield asked("proper", chance(0))
    yield asked("proper", chance(0))
    yield asked("unknown", [*fewest, ("no_such_parameter", "x")])
    yield asked("spoilt", chance(SPOILT))
    if fewest:
        left_out = drawn.rng.randrange(len(fewest))
        yield asked("missing", fewest[:left_out] + fewest[left_out + 1 :])
    else:
        yield asked("unexpandable", [("expand[]", "no_such_member")])


def _of_nothing(operations: list[Operation]) -> Iterator[Asked]:
    """Methods that a path does not have, and paths that are none."""
    known = {(operation.method, operation.path) for operation in operations}
    for path in sorted({path for _, path in known if "{" not in path})[::10]:
        for method in ("GET", "POST", "DELETE"):
            if (method, path) not in known:
                yield Asked("no operation", method, path, ())
    for path in ("/v1/no_such_resource", "/v1/customers/cus_1/no_such_member", "/v1", "/v3/customers", "/"):
        yield Asked("no operation", "GET", path, ())
