"""The package's public face."""

import inspect
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import cloneservice
import pytest
from cloneservice.v1 import clone_service_pb2 as pb

CLIENT = Path(cloneservice.__file__).parent.parent

METHODS = {
    "CreateCloneBatch": "create_batch",
    "AddCloneBatchItems": "add_batch_items",
    "GetCloneBatch": "get_batch",
    "ListCloneBatches": "list_batches",
    "ListCloneBatchItems": "list_batch_items",
    "WatchCloneBatch": "watch_batch",
    "RetryCloneBatch": "retry_batch",
    "CancelCloneBatch": "cancel_batch",
}


def snake(name: str) -> str:
    return "".join("_" + letter.lower() if letter.isupper() else letter for letter in name).lstrip("_")


def test_all_is_sorted_and_is_exactly_what_can_be_imported() -> None:
    public = {
        name
        for name, value in vars(cloneservice).items()
        if not name.startswith("_") and not isinstance(value, types.ModuleType)
    }

    assert cloneservice.__all__ == sorted(public)


@pytest.mark.parametrize("client", [cloneservice.CloneClient, cloneservice.AsyncCloneClient])
def test_both_clients_have_a_documented_method_for_every_rpc_of_the_contract(client: type) -> None:
    rpcs = pb.DESCRIPTOR.services_by_name["CloneService"].methods_by_name
    wanted = {METHODS.get(rpc, snake(rpc)) for rpc in rpcs}

    missing = {name for name in wanted if not inspect.getdoc(getattr(client, name, None))}

    assert missing == set()


def test_both_clients_take_the_same_arguments() -> None:
    def parameters(client: type) -> Any:
        return {
            name: list(inspect.signature(method).parameters.values())
            for name, method in vars(client).items()
            if not name.startswith("_") and name != "close"
        }

    assert parameters(cloneservice.CloneClient) == parameters(cloneservice.AsyncCloneClient)


def test_help_shows_what_a_method_answers() -> None:
    def answer(client: type, name: str) -> str:
        return str(inspect.signature(getattr(client, name)).return_annotation)

    assert answer(cloneservice.CloneClient, "get_clone") == "Clone"
    assert answer(cloneservice.CloneClient, "list_clones") == "Pages[Clone]"
    assert answer(cloneservice.AsyncCloneClient, "get_clone") == "Coroutine[Any, Any, Clone]"
    assert answer(cloneservice.AsyncCloneClient, "list_clones") == "AsyncPages[Clone]"


@pytest.mark.parametrize("module", ["cloneservice", "cloneservice.cli"])
def test_the_client_imports_without_the_server_the_double_or_stripe(module: Any) -> None:
    script = (
        "import sys\n"
        f"sys.path.insert(0, {str(CLIENT)!r})\n"
        "for name in ('stripe', 'cloneservice_server', 'fake_stripe', 'orjson', 'uvloop'):\n"
        "    sys.modules[name] = None\n"
        f"import {module}\n"
    )

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")
