"""The reference of the contract, made from the protos: their comments are the text, their options the facts.

`protos/generate.py --image` writes the descriptors with their comments; gRPC codes come from the server's one table of
errors, so that the page cannot say other than the service does.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from cloneservice_server.rpc.status import TABLE
from google.api import annotations_pb2, field_behavior_pb2
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
    MethodDescriptorProto,
)

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ".cloneservice.v1."
MESSAGES_PAGE = "messages.md"
SCALARS = {number: name.removeprefix("TYPE_").lower() for name, number in FieldDescriptorProto.Type.items()}
REPEAT = "repeat with the same `request_id`"
WHAT_TO_DO = {
    "REQUEST_ID_REUSED": "a mistake in the caller: one id, one set of parameters",
    "REQUEST_IN_PROGRESS": REPEAT,
    "RESOURCE_NOT_FOUND": "mend the id",
    "CONNECTED_ACCOUNT_UNAVAILABLE": "ask the seller to connect again",
    "CAPABILITY_MISSING": "ask the seller to complete the account",
    "NOT_CLONEABLE": "take another payment method, or the flow that is named",
    "CLONE_NOT_USABLE": "`CloneAndCharge` or `RefreshClone` makes a new one",
    "CARD_DECLINED": "show it; a new attempt is a new `request_id`",
    "AUTHENTICATION_REQUIRED": "bring the shopper back, then `ConfirmCharge`",
    "INVALID_STATE": "read the resource, and decide anew",
    "ETAG_MISMATCH": "read the resource, and decide anew",
    "STRIPE_RATE_LIMITED": f"wait, then {REPEAT}",
    "STRIPE_UNREACHABLE": REPEAT,
    "STRIPE_OUTCOME_UNKNOWN": f"{REPEAT}, **never** with a new one",
    "STRIPE_MISCONFIGURED": "tell the operator; repeating is safe",
    "SERVICE_OVERLOADED": f"wait, then {REPEAT}",
    "INVALID_REQUEST": "mend the fields that are named",
    "DEADLINE_TOO_SHORT": f"{REPEAT} and more time",
    "WEBHOOK_SIGNATURE_INVALID": "check the endpoint's secret",
    "INTERNAL": "tell the operator the `error_id`; repeating is safe",
    "LEDGER_UNAVAILABLE": REPEAT,
    "CALLER_UNAUTHENTICATED": "mend the credential",
    "CALLER_NOT_PERMITTED": "ask whoever keeps the policy",
    "SERVICE_STOPPING": REPEAT,
    "BASKET_NOT_CAPTURED": "an answer; with state BROKEN a person must settle it",
}
"""What a caller does, by reason: the codes do not tell (ABORTED is repeated for one reason, never for another)."""
MESSAGES_HEAD = """# Messages

What the [RPCs](rpcs.md) have in common. Amounts are whole minor units (cents, yen). States are open sets: treat one you
do not know as not final and not usable.
"""
ERRORS_HEAD = """# Error reasons

Every failure is a `google.rpc.Status` with one `ErrorInfo` of the domain `cloneservice`. Decide by its `reason`;
messages are for people and may change.

| reason | gRPC code | what it says | what the caller does |
|---|---|---|---|
"""
_MESSAGE, _ENUM, _SERVICE = 4, 5, 6
"""Field numbers in FileDescriptorProto, which paths of comments are made of."""
_NESTED, _NESTED_ENUM, _FIELD, _VALUE, _METHOD = 3, 4, 2, 2, 2


def descriptors() -> dict[str, FileDescriptorProto]:
    """The files of the contract with their comments, by their last name (`types`)."""
    with tempfile.TemporaryDirectory() as folder:
        image = Path(folder) / "image.binpb"
        subprocess.run([sys.executable, str(ROOT / "protos/generate.py"), "--image", str(image)], check=True)
        found = FileDescriptorSet.FromString(image.read_bytes())
    return {Path(one.name).stem: one for one in found.file if one.package == "cloneservice.v1"}


class Contract:
    """All that the pages need, read once."""

    def __init__(self, files: Mapping[str, FileDescriptorProto]) -> None:
        self._files = files
        self._comments = {
            (stem, tuple(location.path)): location.leading_comments.strip()
            for stem, one in files.items()
            for location in one.source_code_info.location
        }
        self._messages = {
            f"{PACKAGE}{message.name}": (stem, (_MESSAGE, number), message)
            for stem, one in files.items()
            for number, message in enumerate(one.message_type)
        }

        services = [service for one in files.values() for service in one.service]
        self._of_one_rpc = {
            name for one in services for rpc in one.method for name in (rpc.input_type, rpc.output_type)
        }

    # ------------------------------------------------------------------------------------------------------ the pages

    def rpcs_page(self) -> str:
        """Every RPC, with what its comment promises and what it takes and gives."""
        (stem, service) = next((stem, one.service[0]) for stem, one in self._files.items() if one.service)
        head, _, rest = self._comments[stem, (_SERVICE, 0)].partition("\n\n")
        parts = [f"# RPCs\n\n{_prose(head)}\n\n{self._linked(_prose(rest))}\n\n| RPC | |\n|---|---|\n"]
        bodies = []
        for number, method in enumerate(service.method):
            comment = self._comments[stem, (_SERVICE, 0, _METHOD, number)]
            parts.append(f"| [{method.name}](#{method.name.lower()}) | {comment.splitlines()[0]} |\n")
            bodies.append(self._rpc(method, comment))
        return "".join(parts) + "\n" + "\n".join(bodies)

    def messages_page(self) -> str:
        """What RPCs have in common: resources, their states, and enums."""
        parts = [MESSAGES_HEAD]
        for stem in ("types", "clone_service"):
            for number, message in enumerate(self._files[stem].message_type):
                if f"{PACKAGE}{message.name}" not in self._of_one_rpc:
                    parts.append(self._message(stem, (_MESSAGE, number), message, depth=2))
        for stem in ("types", "clone_service"):
            for number, enum in enumerate(self._files[stem].enum_type):
                parts.append(self._enum(stem, (_ENUM, number), enum, depth=2))
        return "\n".join(parts)

    def errors_page(self) -> str:
        """Every reason with its gRPC code, what came with it, and who answers it."""
        one = self._files["errors"]
        (reasons,) = one.enum_type
        rows = []
        for number, value in enumerate(reasons.value):
            if value.number == 0:
                continue
            name = value.name.removeprefix("ERROR_REASON_")
            code = TABLE[name].code.name
            text = re.sub(
                rf"\s*{code}( \+ [A-Za-z +]+)?\.$", "", _prose(self._comments["errors", (_ENUM, 0, 2, number)])
            )
            rows.append(f'| <span id="{name.lower()}">`{name}`</span> | `{code}` | {text} | {WHAT_TO_DO[name]} |\n')
        details = [
            self._message("errors", (_MESSAGE, number), message, depth=2)
            for number, message in enumerate(one.message_type)
        ]
        return ERRORS_HEAD + "".join(rows) + "\n" + "\n".join(details)

    # ------------------------------------------------------------------------------------------------------- the parts

    def _rpc(self, method: MethodDescriptorProto, comment: str) -> str:
        summary, *lines = [_prose(line) for line in comment.splitlines()]
        told = []
        for line in lines:
            label, _, text = line.partition(": ")
            if label == "Stripe":
                told.append(("Calls to Stripe", text))
            elif label == "Reasons":
                told.append(("Reasons", self._linked(text)))
            else:
                told.append(("A retry", line.removeprefix("A retry ")))
        http = self._http(method)
        table = "".join(f"| **{label}** | {text} |\n" for label, text in [*told, ("JSON over HTTP", http)] if text)
        parts = [f"## {method.name}\n\n{summary}\n\n| | |\n|---|---|\n{table}"]
        for title, type_name in (("Request", method.input_type), ("Answer", method.output_type)):
            stem, path, message = self._messages[type_name]
            stream = ", a stream of" if title == "Answer" and method.server_streaming else ""
            body = self._fields(stem, path, message) if message.field else "No fields.\n"
            parts.append(f"**{title}**{stream} `{message.name}`\n\n{body}")
        return "\n".join(parts)

    def _http(self, method: MethodDescriptorProto) -> str:
        rule = method.options.Extensions[annotations_pb2.http]
        verb = rule.WhichOneof("pattern")
        return f"`{verb.upper()} {getattr(rule, verb)}`" if verb else ""

    def _message(self, stem: str, path: tuple[int, ...], message: DescriptorProto, depth: int, owner: str = "") -> str:
        parts = [f"{'#' * depth} {owner}{message.name}\n\n{_prose(self._comments.get((stem, path), ''))}\n"]
        if message.field:
            parts.append(self._fields(stem, path, message))
        for number, enum in enumerate(message.enum_type):
            parts.append(self._enum(stem, (*path, _NESTED_ENUM, number), enum, depth + 1, f"{message.name}."))
        for number, nested in enumerate(message.nested_type):
            if not nested.options.map_entry:
                parts.append(self._message(stem, (*path, _NESTED, number), nested, depth + 1, f"{message.name}."))
        return "\n".join(parts)

    def _enum(self, stem: str, path: tuple[int, ...], enum: EnumDescriptorProto, depth: int, owner: str = "") -> str:
        rows = [
            f"| `{value.name}` | {_prose(self._comments.get((stem, (*path, _VALUE, number)), ''))} |\n"
            for number, value in enumerate(enum.value)
        ]
        text = _prose(self._comments.get((stem, path), ""))
        return f"{'#' * depth} {owner}{enum.name}\n\n{text}\n\n| value | |\n|---|---|\n{''.join(rows)}"

    def _fields(self, stem: str, path: tuple[int, ...], message: DescriptorProto) -> str:
        rows = []
        for number, one in enumerate(message.field):
            text = _prose(self._comments.get((stem, (*path, _FIELD, number)), ""))
            marks = one.options.Extensions[field_behavior_pb2.field_behavior]
            if field_behavior_pb2.REQUIRED in marks:
                text = f"**Required.** {text}"
            if one.HasField("oneof_index") and not one.proto3_optional:
                text = f"{text} One of `{message.oneof_decl[one.oneof_index].name}`."
            rows.append(f"| `{one.name}` | {self._type(one, message)} | {text} |\n")
        return f"| field | type | |\n|---|---|---|\n{''.join(rows)}"

    def _type(self, one: FieldDescriptorProto, owner: DescriptorProto) -> str:
        if not one.type_name:
            name = SCALARS[one.type]
        else:
            for nested in owner.nested_type:
                if nested.options.map_entry and one.type_name.endswith(f".{nested.name}"):
                    key, value = nested.field
                    return f"map of {self._type(key, nested)} to {self._type(value, nested)}"
            name = self._reference(one.type_name)
        repeated = one.label == FieldDescriptorProto.LABEL_REPEATED
        return f"list of {name}" if repeated else name

    def _reference(self, type_name: str) -> str:
        if not type_name.startswith(PACKAGE):
            return f"`{type_name.removeprefix('.')}`"
        name = type_name.removeprefix(PACKAGE)
        owner = self._messages.get(f"{PACKAGE}{name.partition('.')[0]}")
        if owner is not None and f"{PACKAGE}{owner[2].name}" in self._of_one_rpc:
            return f"`{name}`"
        return f"[{name}]({MESSAGES_PAGE}#{name.lower().replace('.', '')})"

    def _linked(self, text: str) -> str:
        """Each reason in the text as a link to its row."""
        return re.sub(
            r"\b([A-Z][A-Z_]+[A-Z])\b",
            lambda found: f"[{found[1]}](errors.md#{found[1].lower()})" if found[1] in TABLE else found[1],
            text,
        )


def _prose(comment: str) -> str:
    """A comment as one line of Markdown that a table can hold."""
    text = " ".join(line.strip() for line in comment.splitlines())
    text = re.sub(r"((?:GET|POST|DELETE) )(/v1/[\w/{}]+)", r"\1`\2`", text)
    text = re.sub(r"(?<![\w`/])(/v1/[\w/{}]+)(?!`)", r"`\1`", text)
    return text.replace("|", "\\|").replace("_...", "\\_...")
