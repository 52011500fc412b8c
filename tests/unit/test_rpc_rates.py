"""No caller takes the service from the others."""

from __future__ import annotations

from typing import Any

import pytest
from cloneservice_server.domain.errors import ServiceOverloaded
from cloneservice_server.rpc.interceptors import rates as module
from cloneservice_server.rpc.interceptors.rates import Rates


class Time:
    """Seconds that a test moves."""

    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def taken(rates: Rates, caller: str, times: int, *own: int) -> int:
    """How many of `times` calls pass."""
    passed = 0
    for _ in range(times):
        try:
            rates.take(caller, *own)
        except ServiceOverloaded:
            continue
        passed += 1
    return passed


def test_a_burst_passes_then_the_rate_and_others_are_not_touched() -> None:
    time = Time()
    rates = Rates(10, time)
    counts = [taken(rates, "a", 100), taken(rates, "b", 5)]
    time.now_s = 0.5
    counts.append(taken(rates, "a", 100))
    time.now_s = 1000.0
    counts.append(taken(rates, "a", 100))

    assert counts == [20, 5, 5, 20]


def test_the_refusal_says_when_to_come_back() -> None:
    rates = Rates(4, Time())
    taken(rates, "a", 8)

    with pytest.raises(ServiceOverloaded) as caught:
        rates.take("a")

    assert (caught.value.retry_after_s, caught.value.metadata) == (0.25, {"requests_per_second": "4"})


@pytest.mark.parametrize(("server", "own", "passed"), [(0, 0, 50), (0, 1, 2), (10, 1, 2), (1, 10, 20)])
def test_a_callers_own_limit_counts_before_the_servers(server: int, own: int, passed: int) -> None:
    assert taken(Rates(server, Time()), "a", 50, own) == passed


def test_callers_without_end_take_no_memory_without_end(monkeypatch: Any) -> None:
    monkeypatch.setattr(module, "_BUCKETS_MAX", 3)
    rates = Rates(1, Time())
    for number in range(100):
        rates.take(str(number))

    assert len(rates._buckets) == 3
