"""A fake_stripe with its rate limits on, whose time runs faster: the other side of bench/batch.py.

    python -m bench.batch_double SPEED off|test|live

Prints its URL when it is ready; ends when its standard input is closed.
"""

from __future__ import annotations

import sys
import time

from fake_stripe.clock import Clock

from fake_stripe import FakeStripe

KEY = "sk_test_bench"


class FastClock(Clock):
    """Time that runs `speed` times as fast as the machine's, from now on."""

    def __init__(self, speed: float) -> None:
        super().__init__()
        self._speed = speed
        self._since = time.time()

    def now(self) -> int:
        """Whole unix seconds."""
        return int(self.time())

    def time(self) -> float:
        """Unix seconds."""
        return self._since + (time.time() - self._since) * self._speed


def main() -> None:
    """Serve until nobody is there any more."""
    speed, limits = float(sys.argv[1]), sys.argv[2]
    with FakeStripe(api_key=KEY, journal_size=1) as double:
        world = double.world()
        world.clock = FastClock(speed)
        world.set_policy({"rate_limits": limits}, None)
        print(double.url, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
