"""A batch's progress for people: one line that is drawn over on a terminal, a line now and then elsewhere."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TextIO

from cloneservice import BatchEvent, BatchItemState, CloneBatch

_BAR = 24
_DRAW_S = 0.2
_LINE_S = 10.0
_RATE_OVER_S = 30.0
_REASONS = 3


class Progress:
    """Counts a batch's events, from the batch as it was when the watch began."""

    def __init__(self, batch: CloneBatch, out: TextIO, clock: Callable[[], float]) -> None:
        self._out = out
        self._clock = clock
        self._period_s = _DRAW_S if out.isatty() else _LINE_S
        self._drawn_s = float("-inf")
        self._width = 0
        self._reasons: Counter[str] = Counter()
        self._seen: list[tuple[float, int]] = []
        self._take_batch(batch)
        self._draw()

    def take(self, event: BatchEvent) -> None:
        """One event of the watch."""
        if event.batch is not None:
            self._take_batch(event.batch)
        elif event.item is not None and event.item.state is not BatchItemState.PENDING:
            self._done += 1
            if event.item.state is BatchItemState.FAILED:
                self._reasons[event.item.error.reason if event.item.error else ""] += 1
        if self._clock() - self._drawn_s >= self._period_s:
            self._draw()

    def end(self) -> None:
        """Draw a last time, and leave the line."""
        self._draw()
        if self._out.isatty():
            print(file=self._out, flush=True)

    def _take_batch(self, batch: CloneBatch) -> None:
        self._batch = batch
        self._done = batch.succeeded_count + batch.failed_count + batch.skipped_count
        if batch.failures:
            self._reasons = Counter({failure.reason: failure.count for failure in batch.failures})

    def line(self) -> str:
        """`[######------] 42 %  420 of 1000  24.3/s  ETA 0:00:23  failed 3: NOT_CLONEABLE 2, CARD_DECLINED 1`."""
        total, done = self._batch.total_count, self._done
        share = min(1.0, done / total) if total else 0.0
        filled = int(share * _BAR)
        rate = self._rate()
        parts = [
            f"[{'#' * filled}{'-' * (_BAR - filled)}] {share:4.0%}",
            f"{done} of {total}",
            f"{rate:.1f}/s",
        ]
        if rate > 0 and done < total:
            parts.append(f"ETA {_duration((total - done) / rate)}")
        if self._reasons:
            most = ", ".join(f"{reason} {count}" for reason, count in self._reasons.most_common(_REASONS))
            parts.append(f"failed {self._reasons.total()}: {most}")
        if not self._batch.state.final:
            parts.append(self._batch.state.value)
        return "  ".join(parts)

    def _rate(self) -> float:
        now_s = self._clock()
        self._seen.append((now_s, self._done))
        while self._seen[0][0] < now_s - _RATE_OVER_S:
            self._seen.pop(0)
        then_s, then = self._seen[0]
        elapsed_s = now_s - then_s
        return max(0, self._done - then) / elapsed_s if elapsed_s > 0 else self._batch.items_per_second

    def _draw(self) -> None:
        self._drawn_s = self._clock()
        text = self.line()
        if self._out.isatty():
            print(f"\r{text:<{self._width}}", end="", file=self._out, flush=True)
            self._width = len(text)
        else:
            print(text, file=self._out, flush=True)


def _duration(seconds: float) -> str:
    minutes, left = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{left:02}"
