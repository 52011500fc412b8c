"""The `batch` commands: files in, a batch made of them, its progress watched, its results out."""

from __future__ import annotations

import csv
import io
import sys
import time
import uuid
from argparse import Namespace
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from cloneservice import (
    AttachOptions,
    BatchItemState,
    BatchOperation,
    BatchPair,
    BatchResult,
    CloneBatch,
    CloneBatchItem,
    CloneClient,
    CloneFlow,
    CrossProduct,
)
from cloneservice.cli._arguments import Interrupted, UsageError
from cloneservice.cli._output import one_line
from cloneservice.cli._progress import Progress

_CHUNK = 5000
"""Pairs, or customers, in one message: well below gRPC's 4 MB."""
_CUSTOMER, _ACCOUNT, _METHOD = ("cus_",), ("acct_",), ("pm_", "card_", "src_", "ba_")


def create(client: CloneClient, options: Namespace) -> BatchResult | CloneBatch:
    """Make a batch of the ids in files; with --watch, follow it to its end."""
    operation = BatchOperation(options.operation)
    shape: dict[str, Any] = {
        "flow": CloneFlow(options.flow) if options.flow else None,
        "attach": AttachOptions(set_default=True) if options.set_default else None,
        "max_concurrency": options.max_concurrency,
    }
    chunks = _selections(options)
    if len(chunks) == 1 or options.validate_only:
        whole = chunks[0] if len(chunks) == 1 else _whole(options)
        made = client.create_batch(
            operation, whole, **shape, validate_only=options.validate_only, request_id=options.request_id
        )
    else:
        made = client.create_batch(operation, None, **shape, request_id=options.request_id)
        for number, chunk in enumerate(chunks, start=1):
            # Derived, so that the same command with the same --request-id goes on where it was interrupted.
            part = str(uuid.uuid5(uuid.UUID(options.request_id), str(number)))
            last = number == len(chunks)
            added = client.add_batch_items(made.batch.batch_id, chunk, seal=last, request_id=part)
            made = BatchResult(batch=added.batch, request_id=made.request_id, replayed=made.replayed)
    if options.watch and not options.validate_only:
        return _follow(client, made.batch.batch_id)
    return made


def watch(client: CloneClient, options: Namespace) -> CloneBatch:
    """Follow a batch to its end."""
    return _follow(client, options.batch)


def _follow(client: CloneClient, batch_id: str) -> CloneBatch:
    batch = client.get_batch(batch_id)
    progress = Progress(batch, sys.stderr, time.monotonic)
    try:
        if not batch.state.final:
            for event in client.watch_batch(batch_id, after_sequence=batch.last_sequence):
                progress.take(event)
        progress.end()
    except KeyboardInterrupt:
        progress.end()
        raise Interrupted(
            f"the batch goes on; see it again with `cloneservice batch watch {batch_id}`, "
            f"stop it with `cloneservice batch cancel {batch_id}`"
        ) from None
    return client.get_batch(batch_id)


def get(client: CloneClient, options: Namespace) -> CloneBatch:
    """Show a batch."""
    return client.get_batch(options.batch)


def list_all(client: CloneClient, options: Namespace) -> Iterable[CloneBatch]:
    """List batches."""
    return client.list_batches(page_size=min(int(options.limit) + 1, 200))


def retry(client: CloneClient, options: Namespace) -> BatchResult | CloneBatch:
    """Queue a batch's failed items again."""
    made = client.retry_batch(options.batch, request_id=options.request_id)
    return _follow(client, options.batch) if options.watch else made


def cancel(client: CloneClient, options: Namespace) -> BatchResult:
    """Stop a batch."""
    return client.cancel_batch(options.batch, request_id=options.request_id)


COLUMNS: Mapping[str, Callable[[CloneBatchItem], object]] = {
    "index": lambda item: item.index,
    "platform_customer_id": lambda item: item.platform_customer_id,
    "platform_payment_method_id": lambda item: (
        item.clone.platform_payment_method_id if item.clone else item.platform_payment_method_id
    ),
    "connected_account_id": lambda item: item.connected_account_id,
    "state": lambda item: item.state.value,
    "clone_id": lambda item: item.clone.clone_id if item.clone else "",
    "connected_customer_id": lambda item: item.clone.connected_customer_id if item.clone else "",
    "connected_object_id": lambda item: item.clone.connected_object_id if item.clone else "",
    "error_reason": lambda item: item.error.reason if item.error else "",
    "error_message": lambda item: item.error.message if item.error else "",
    "attempt_count": lambda item: item.attempt_count,
}
"""Of an exported CSV file."""


def export(client: CloneClient, options: Namespace) -> None:
    """Write a batch's items, as they stand, to a file or to standard output."""
    states = [BatchItemState(state) for state in options.state]
    items = iter(client.list_batch_items(options.batch, states=states, page_size=200))
    with _opened(options.output) as out:
        if options.format == "csv":
            writer = csv.writer(out)
            writer.writerow(COLUMNS)
            writer.writerows([_plain(cell(item)) for cell in COLUMNS.values()] for item in items)
        else:
            out.writelines(one_line(item) + "\n" for item in items)
        out.flush()


@contextmanager
def _opened(path: str) -> Iterator[TextIO]:
    if not path:
        yield sys.stdout
        return
    with Path(path).open("w", encoding="utf-8", newline="") as out:
        yield out


def _plain(value: object) -> str:
    """A cell that no spreadsheet takes for a formula: messages come from elsewhere."""
    text = str(value)
    return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text


# ---------------------------------------------------------------------------------------------------------- files


def _selections(options: Namespace) -> list[CrossProduct | Sequence[BatchPair]]:
    """What the files say, in messages of a bounded size."""
    whole = _whole(options)
    if isinstance(whole, CrossProduct):
        customers = whole.platform_customer_ids
        parts = [customers[start : start + _CHUNK] for start in range(0, len(customers), _CHUNK)]
        if len(parts) > 1 and whole.all_payment_methods:
            raise UsageError(f"--all-payment-methods is for at most {_CHUNK} customers at once")
        return [CrossProduct(part, whole.connected_account_ids, whole.all_payment_methods) for part in parts]
    return [whole[start : start + _CHUNK] for start in range(0, len(whole), _CHUNK)]


def _whole(options: Namespace) -> CrossProduct | Sequence[BatchPair]:
    if options.pairs:
        if options.customers or options.accounts:
            raise UsageError("--pairs excludes --customers and --accounts")
        return list(_pairs(options.pairs))
    if not (options.customers and options.accounts):
        raise UsageError("give --customers FILE.csv and --accounts FILE.csv, or --pairs FILE.csv")
    customers, accounts = (
        tuple(dict.fromkeys(row[prefixes] for row in _rows(path, prefixes)))
        for path, prefixes in ((options.customers, _CUSTOMER), (options.accounts, _ACCOUNT))
    )
    return CrossProduct(customers, accounts, options.all_payment_methods)


def _pairs(path: str) -> Iterator[BatchPair]:
    for row in _rows(path, _CUSTOMER, _ACCOUNT):
        yield BatchPair(row[_CUSTOMER], row[_ACCOUNT], row.get(_METHOD, ""))


def _rows(path: str, *wanted: tuple[str, ...]) -> Iterator[dict[tuple[str, ...], str]]:
    """Each line's ids by their prefixes, wherever they stand in it; a heading is passed over.

    Raises UsageError, naming the line that lacks an id of `wanted`.
    """
    found = False
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise UsageError(f"{path} is not UTF-8 text: save it as CSV in UTF-8") from None
    except OSError as unread:
        raise UsageError(f"cannot read {path}: {unread.strerror}") from None
    delimiter = ";" if ";" in text and "," not in text else ","  # as spreadsheets of half the world write it
    with io.StringIO(text, newline="") as lines:
        for number, cells in enumerate(csv.reader(lines, delimiter=delimiter), start=1):
            row: dict[tuple[str, ...], str] = {
                kind: cell for kind in (_CUSTOMER, _ACCOUNT, _METHOD) if (cell := _first(cells, kind))
            }
            if all(kind in row for kind in wanted):
                found = True
                yield row
            elif any(cells) and (number > 1 or row):
                names = " and ".join(f"{kind[0]}..." for kind in wanted)
                raise UsageError(f"{path}, line {number}: {names} expected")
    if not found:
        raise UsageError(f"{path}: no ids in it")


def _first(cells: Sequence[str], prefixes: tuple[str, ...]) -> str:
    return next((cell.strip() for cell in cells if cell.strip().startswith(prefixes)), "")
