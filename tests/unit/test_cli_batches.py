"""The `cloneservice batch` commands: files to batches, progress that can be left, results that can be taken along."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cloneservice import BatchEvent, BatchItemState, BatchState, CloneBatch, CloneBatchItem, CloneClient, Failure
from cloneservice.cli import main
from cloneservice.cli._progress import Progress
from cloneservice.v1 import clone_service_pb2 as pb
from cloneservice.v1 import types_pb2 as types

from tests.fakes_grpc import ScriptedService, serving

KEY = "11111111-1111-4111-8111-111111111111"
Run = Callable[..., int]


def batch(state: int = types.CloneBatch.STATE_RUNNING, **fields: Any) -> types.CloneBatch:
    fields.setdefault("total_count", 4)
    return types.CloneBatch(
        batch_id="bat_1",
        operation=types.CloneBatch.OPERATION_CLONE,
        state=state,  # type: ignore[arg-type]
        **fields,
    )


DONE = batch(
    types.CloneBatch.STATE_PARTIALLY_FAILED,
    succeeded_count=3,
    failed_count=1,
    failures=[types.CloneBatch.Failures(reason="NOT_CLONEABLE", count=5, example_indexes=[2])],
    items_per_second=24.2,
    items_per_second_limit=24.25,
)


@pytest.fixture
def service() -> ScriptedService:
    return ScriptedService()


@pytest.fixture
def run(service: ScriptedService) -> Iterator[Run]:
    with serving(service) as target:
        yield lambda *argv: main(argv, {"CLONESERVICE_TARGET": target})


def written(path: Path, *lines: str) -> str:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(path)


def test_two_files_make_a_cross_product(run: Run, service: ScriptedService, tmp_path: Path) -> None:
    service.answer("CreateCloneBatch", pb.CreateCloneBatchResponse(batch=batch()))
    customers = written(tmp_path / "c.csv", "customer,name", "cus_1,Ada", "cus_2,Bob", "cus_1,Ada")
    accounts = written(tmp_path / "a.csv", "acct_1", "acct_2")

    status = run("batch", "create", "--customers", customers, "--accounts", accounts, "--set-default")

    [request] = service.requests("CreateCloneBatch")
    assert status == 0
    assert list(request.cross_product.platform_customer_ids) == ["cus_1", "cus_2"]
    assert list(request.cross_product.connected_account_ids) == ["acct_1", "acct_2"]
    assert request.attach.set_default


@pytest.mark.parametrize(
    "content",
    ["\ufeffcus_1\r\ncus_2\r\n", "name;id\r\nAda;cus_1\r\nBob;cus_2", "cus_1\n\ncus_2 \n"],
)
def test_files_of_other_systems_and_spreadsheets_are_read(
    run: Run, service: ScriptedService, tmp_path: Path, content: str
) -> None:
    service.answer("CreateCloneBatch", pb.CreateCloneBatchResponse(batch=batch()))
    (tmp_path / "c.csv").write_bytes(content.encode())
    accounts = written(tmp_path / "a.csv", "acct_1")

    assert run("batch", "create", "--customers", str(tmp_path / "c.csv"), "--accounts", accounts) == 0

    [request] = service.requests("CreateCloneBatch")
    assert list(request.cross_product.platform_customer_ids) == ["cus_1", "cus_2"]


@pytest.mark.parametrize(("content", "says"), [(b"\xff\xfe\x00", "is not UTF-8 text"), (None, "cannot read")])
def test_a_file_that_cannot_be_read_is_named(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes | None, says: str
) -> None:
    path = tmp_path / "c.csv"
    if content is not None:
        path.write_bytes(content)
    status = run("batch", "create", "--customers", str(path), "--accounts", written(tmp_path / "a.csv", "acct_1"))
    told = capsys.readouterr().err

    assert (status, str(path) in told, says in told) == (2, True, True)


def test_pairs_name_their_methods_where_they_do(run: Run, service: ScriptedService, tmp_path: Path) -> None:
    service.answer("CreateCloneBatch", pb.CreateCloneBatchResponse(batch=batch()))
    pairs = written(tmp_path / "p.csv", "account,customer,card", "acct_1,cus_1,pm_1", "acct_2,cus_2,")

    assert run("batch", "create", "--pairs", pairs) == 0

    [request] = service.requests("CreateCloneBatch")
    assert [
        (pair.platform_customer_id, pair.connected_account_id, pair.platform_payment_method_id)
        for pair in request.pairs.pairs
    ] == [("cus_1", "acct_1", "pm_1"), ("cus_2", "acct_2", "")]


def test_more_than_a_message_holds_goes_in_chunks_with_keys_of_their_own(
    run: Run, service: ScriptedService, tmp_path: Path
) -> None:
    service.answer("CreateCloneBatch", pb.CreateCloneBatchResponse(batch=batch(types.CloneBatch.STATE_OPEN)))
    service.answer("AddCloneBatchItems", pb.AddCloneBatchItemsResponse(batch=batch()))
    customers = written(tmp_path / "c.csv", *(f"cus_{number}" for number in range(12_000)))
    accounts = written(tmp_path / "a.csv", "acct_1")
    command = ("batch", "create", "--customers", customers, "--accounts", accounts, "--request-id", KEY)

    assert run(*command) == 0
    assert run(*command) == 0

    [created, _], added = service.requests("CreateCloneBatch"), service.requests("AddCloneBatchItems")
    assert created.HasField("open")
    assert [len(chunk.cross_product.platform_customer_ids) for chunk in added] == [5000, 5000, 2000] * 2
    assert [chunk.seal for chunk in added[:3]] == [False, False, True]
    assert [chunk.request_id for chunk in added[:3]] == [chunk.request_id for chunk in added[3:]]
    assert len({chunk.request_id for chunk in added}) == 3


@pytest.mark.parametrize(
    ("lines", "told"), [(("acct_1", "cus_2"), "line 2: acct_... expected"), (("nothing",), "no ids in it")]
)
def test_a_file_without_ids_is_named_with_its_line(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str], lines: tuple[str, ...], told: str
) -> None:
    customers, accounts = written(tmp_path / "c.csv", "cus_1"), written(tmp_path / "a.csv", *lines)

    assert run("batch", "create", "--customers", customers, "--accounts", accounts) == 2
    assert told in capsys.readouterr().err


def test_a_watched_batch_ends_with_its_report(
    run: Run, service: ScriptedService, capsys: pytest.CaptureFixture[str]
) -> None:
    running = pb.GetCloneBatchResponse(batch=batch(last_sequence=7))
    service.answer("GetCloneBatch", running, pb.GetCloneBatchResponse(batch=DONE))
    service.answer("WatchCloneBatch", pb.WatchCloneBatchResponse(sequence=8, batch=DONE))

    status = run("batch", "watch", "bat_1")

    shown = capsys.readouterr()
    assert status == 8
    assert service.requests("WatchCloneBatch")[0].after_sequence == 7
    assert "NOT_CLONEABLE 5 (items 2, ...)" in shown.out
    assert "4 of 4" in shown.err


def test_who_leaves_a_watch_is_told_how_to_come_back(
    run: Run, service: ScriptedService, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    service.answer("GetCloneBatch", pb.GetCloneBatchResponse(batch=batch()))

    def leave(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(CloneClient, "watch_batch", leave)

    assert run("batch", "watch", "bat_1") == 130
    assert "the batch goes on; see it again with `cloneservice batch watch bat_1`" in capsys.readouterr().err
    assert not service.requests("CancelCloneBatch")


ITEMS = [
    types.CloneBatchItem(
        index=0,
        platform_customer_id="cus_1",
        connected_account_id="acct_1",
        state=types.CloneBatchItem.STATE_SUCCEEDED,
        clone=types.Clone(clone_id="cln_1", connected_customer_id="cus_9", connected_payment_method_id="pm_9"),
    ),
    types.CloneBatchItem(index=1, platform_customer_id="cus_2", state=types.CloneBatchItem.STATE_FAILED),
]


def test_results_are_exported_as_csv_and_json_lines(
    run: Run, service: ScriptedService, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    service.answer("ListCloneBatchItems", pb.ListCloneBatchItemsResponse(items=ITEMS))

    assert run("batch", "export", "bat_1", "--output", str(tmp_path / "items.csv"), "--state", "failed") == 0
    assert run("batch", "export", "bat_1", "--format", "jsonl") == 0

    heading, first, second = (tmp_path / "items.csv").read_text().splitlines()
    assert heading.startswith("index,platform_customer_id,")
    assert first == "0,cus_1,,acct_1,succeeded,cln_1,cus_9,pm_9,,,0"
    assert second.startswith("1,cus_2,")
    assert service.requests("ListCloneBatchItems")[0].states == [types.CloneBatchItem.STATE_FAILED]
    assert [json.loads(line)["index"] for line in capsys.readouterr().out.splitlines()] == [0, 1]


@pytest.mark.parametrize(("command", "rpc"), [("retry", "RetryCloneBatch"), ("cancel", "CancelCloneBatch")])
def test_a_batch_is_retried_and_canceled_by_name(run: Run, service: ScriptedService, command: str, rpc: str) -> None:
    service.answer(rpc, getattr(pb, f"{rpc}Response")(batch=batch()))

    assert run("batch", command, "bat_1", "--request-id", KEY) == 0
    assert (service.requests(rpc)[0].batch_id, service.requests(rpc)[0].request_id) == ("bat_1", KEY)


def test_batches_are_listed_as_a_table(run: Run, service: ScriptedService, capsys: pytest.CaptureFixture[str]) -> None:
    service.answer("ListCloneBatches", pb.ListCloneBatchesResponse(batches=[DONE, batch()]))

    assert run("batch", "list") == 0
    assert "bat_1  clone      partially_failed  4      3" in capsys.readouterr().out


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_tells_rate_time_left_and_why_items_failed() -> None:
    now_s, out = 0.0, Terminal()
    running = CloneBatch(batch_id="bat_1", state=BatchState.RUNNING, total_count=100, succeeded_count=40)
    progress = Progress(running, out, lambda: now_s)

    for number in range(20):
        now_s += 0.5
        failed = Failure(reason="NOT_CLONEABLE", message="", code="FAILED_PRECONDITION")
        state = BatchItemState.FAILED if number < 3 else BatchItemState.SUCCEEDED
        item = CloneBatchItem(index=number, state=state, error=failed if number < 3 else None)
        progress.take(BatchEvent(sequence=number + 1, item=item))
    progress.end()

    last = out.getvalue().rstrip().rsplit("\r", 1)[-1]
    assert last == (
        "[##############----------]  60%  60 of 100  2.0/s  ETA 0:00:20  failed 3: NOT_CLONEABLE 3  running"
    )
