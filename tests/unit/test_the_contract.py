"""The contract and what is generated from it: no drift, nothing lost, one retry policy for all languages."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from cloneservice.v1 import clone_service_pb2, errors_pb2
from cloneservice_server.domain import errors
from google.api import annotations_pb2

ROOT = Path(__file__).resolve().parents[2]
pytest.importorskip("grpc_tools", reason="the generator is a development tool")


def test_the_generated_code_is_what_the_contract_gives() -> None:
    ran = subprocess.run(
        [sys.executable, str(ROOT / "protos/generate.py"), "--check"],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": str(Path(sys.executable).parent)},
    )

    assert ran.stdout.strip() == "generated code is current", ran.stdout + ran.stderr


def test_the_service_config_ships_with_the_client() -> None:
    shipped = (ROOT / "client/cloneservice/service_config.json").read_text()

    assert json.loads(shipped) == json.loads((ROOT / "protos/service_config.json").read_text())


def test_every_mutation_carries_a_required_request_id() -> None:
    service = clone_service_pb2.DESCRIPTOR.services_by_name["CloneService"]
    reads = ("Get", "List", "Watch", "Lookup")
    mutations = [
        method for method in service.methods if not method.name.startswith(reads) and method.name != "HandleStripeEvent"
    ]

    assert len(mutations) > 10
    for method in mutations:
        assert method.input_type.fields[0].name == "request_id", method.name


def test_every_reason_of_the_contract_is_a_domain_error_and_the_reverse() -> None:
    names = {value.name for value in errors_pb2.ErrorReason.DESCRIPTOR.values}
    published = {name.removeprefix("ERROR_REASON_") for name in names} - {"UNSPECIFIED"}

    def tree(root: type[errors.DomainError]) -> set[str]:
        return {root.reason}.union(*(tree(child) for child in root.__subclasses__()))

    assert tree(errors.DomainError) == published


def test_every_unary_rpc_has_a_path_of_its_own_for_json() -> None:
    methods = clone_service_pb2.DESCRIPTOR.services_by_name["CloneService"].methods
    rules = {method.name: method.GetOptions().Extensions[annotations_pb2.http] for method in methods}
    paths = [
        (rule.WhichOneof("pattern"), getattr(rule, rule.WhichOneof("pattern") or "custom")) for rule in rules.values()
    ]

    assert [name for name, rule in rules.items() if not rule.WhichOneof("pattern")] == ["WatchCloneBatch"]
    assert len(set(map(str, paths))) == len(paths)
    for name, rule in rules.items():
        assert bool(rule.post) is (rule.body == "*"), name
