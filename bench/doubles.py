"""The doubles that are measured side by side, and how each is run."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable

from bench.report import Report

Command = Callable[[int], list[str]]
"""What runs a double on a port."""


def fake_stripe(port: int) -> list[str]:
    """Our own."""
    return [sys.executable, "-m", "fake_stripe", "serve", "--port", str(port)]


def here(report: Report) -> dict[str, Command]:
    """Ours first, then localstripe (of PyPI; GPL, so it is only run) and stripe-mock (Stripe's own, in Go) if there."""
    found: dict[str, Command] = {"fake_stripe": fake_stripe}
    if localstripe := shutil.which(os.environ.get("LOCALSTRIPE", "")):
        found["localstripe"] = lambda port: [localstripe, "--port", str(port), "--from-scratch"]
    else:
        report.remark("localstripe was left out: LOCALSTRIPE names no program (`make bench` sets it up).")
    if mock := shutil.which(os.environ.get("STRIPE_MOCK", "")):
        found["stripe-mock"] = lambda port: [mock, "-http-port", str(port)]
    else:
        report.remark("stripe-mock was left out: STRIPE_MOCK names no program (`make bench` builds it if there is go).")
    return found
