"""Compile Stripe's OpenAPI document into `catalog.json.gz`; run by hand, never when serving.

    python fake_stripe/fake_stripe/openapi/build.py [--spec spec3.json]

Without `--spec` the document is taken out of a package that ships it (`seahaven-stripe-world`, MIT). Only facts are
kept (names, types, enums, lengths, required, nullable, expandable), no prose. Equal subtrees are stored once: the
result is one JSON value a line, the first line the index, each further one a node that others name by its number.

Parameter nodes: `t` is s(tring), i(nteger), n(umber), b(oolean), o(bject), m(ap), a(rray), x (one of), any; `e` enum,
`l` most characters, `f` format, `u` 1 if "" unsets, `y` 1 if Stripe's own server takes more than the document says, `p`
properties, `q` required ones, `v` the item's node (of x: the variants'). Shape nodes: the same letters, and r for a
named object, `n` 1 if nullable, `X` what it expands to, `h` members that take part in expansion.
"""

import argparse
import gzip
import json
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

PACKAGE = "seahaven-stripe-world==0.3.0"
MEMBER = "seahaven_stripe_world/spec/spec3.json"
TARGET = Path(__file__).with_name("catalog.json.gz")
METHODS = ("get", "post", "delete")

Schema = dict[str, Any]


class Nodes:
    """Interned nodes: equal ones share a number. Line 0 is the index, so numbers start at 1."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._numbers: dict[str, int] = {}

    def add(self, node: dict[str, Any]) -> int:
        """The number of a node, a new one unless an equal node is there; members that say nothing are left out."""
        text = json.dumps({k: v for k, v in node.items() if v not in (None, [], {}, 0)}, separators=(",", ":"))
        number = self._numbers.get(text)
        if number is None:
            self.lines.append(text)
            number = self._numbers[text] = len(self.lines)
        return number


_SCALARS = {"string": "s", "integer": "i", "number": "n", "boolean": "b"}


def _is_unset(schema: Schema) -> bool:
    return schema.get("type") == "string" and schema.get("enum") == [""]


def parameter(nodes: Nodes, schema: Schema) -> int:
    """The node of a parameter."""
    return nodes.add(_parameter(nodes, schema))


def _parameter(nodes: Nodes, schema: Schema) -> dict[str, Any]:
    bypass = 1 if schema.get("x-stripeBypassValidation") else 0
    if "anyOf" in schema:
        variants = [v for v in schema["anyOf"] if not _is_unset(v)]
        unset = len(variants) != len(schema["anyOf"])
        if len(variants) == 1:
            node = _parameter(nodes, variants[0])
        else:
            node = {"t": "x", "v": [parameter(nodes, v) for v in variants]}
        return node | {"u": 1 if unset else node.get("u"), "y": bypass or node.get("y")}
    kind = schema.get("type")
    if kind == "array":
        return {"t": "a", "v": parameter(nodes, schema["items"]), "y": bypass}
    if kind == "object":
        more = schema.get("additionalProperties")
        if isinstance(more, dict) and not schema.get("properties"):
            return {"t": "m", "v": parameter(nodes, more), "y": bypass}
        members = {name: parameter(nodes, member) for name, member in schema.get("properties", {}).items()}
        return {"t": "o", "p": members, "q": schema.get("required"), "y": bypass}
    enum = schema.get("enum")
    return {
        "t": _SCALARS.get(str(kind), "any"),
        "e": [value for value in enum if value != ""] if enum else None,
        "u": 1 if enum and "" in enum else 0,
        "l": schema.get("maxLength"),
        "f": schema.get("format"),
        "y": bypass,
    }


def parameters(nodes: Nodes, operation: Schema) -> int:
    """The node of all query or body parameters of an operation."""
    members: dict[str, int] = {}
    required: list[str] = []
    for content in operation.get("requestBody", {}).get("content", {}).values():
        schema = content["schema"]
        members.update({name: parameter(nodes, member) for name, member in schema.get("properties", {}).items()})
        required += schema.get("required", [])
    for query in operation.get("parameters", []):
        if query["in"] == "query":
            members[query["name"]] = parameter(nodes, query["schema"])
            required += [query["name"]] if query.get("required") else []
    return nodes.add({"t": "o", "p": members, "q": required})


def _name(reference: Schema) -> str:
    return str(reference["$ref"]).rsplit("/", 1)[1]


def shape(nodes: Nodes, schema: Schema) -> int:
    """The node of a response schema."""
    return nodes.add(_shape(nodes, schema))


def _shape(nodes: Nodes, schema: Schema) -> dict[str, Any]:
    common: dict[str, Any] = {"n": 1 if schema.get("nullable") else 0}
    resources = schema.get("x-expansionResources")
    if resources:
        common["X"] = [_name(resource) for resource in resources["oneOf"]]
    if "$ref" in schema:
        return {"t": "r", "v": _name(schema)} | common
    if "anyOf" in schema:
        variants = schema["anyOf"]
        if len(variants) == 1:
            return _shape(nodes, variants[0]) | common
        return {"t": "x", "v": [shape(nodes, variant) for variant in variants]} | common
    kind = schema.get("type")
    if kind == "array":
        return {"t": "a", "v": shape(nodes, schema["items"])} | common
    if kind == "object":
        more = schema.get("additionalProperties")
        if isinstance(more, dict) and not schema.get("properties"):
            return {"t": "m", "v": shape(nodes, more)} | common
        members = {name: shape(nodes, member) for name, member in schema.get("properties", {}).items()}
        hidden = schema.get("x-expandableFields")
        return {"t": "o", "p": members, "q": schema.get("required"), "h": hidden} | common
    return {
        "t": _SCALARS.get(str(kind), "any"),
        "e": schema.get("enum"),
        "f": schema.get("format"),
        "l": schema.get("maxLength"),
    } | common


def _response(nodes: Nodes, operation: Schema) -> tuple[int, str | None]:
    content = operation["responses"]["200"]["content"]
    if "application/json" not in content:
        return 0, None
    schema = content["application/json"]["schema"]
    named = schema if "$ref" in schema else next((v for v in schema.get("anyOf", []) if "$ref" in v), None)
    return shape(nodes, schema), _name(named) if named else None


def compile_catalog(document: Schema) -> bytes:
    """The text of the catalog: the index line, then a line a node."""
    nodes = Nodes()
    operations = []
    for path, item in sorted(document["paths"].items()):
        for method in METHODS:
            if method in item:
                operation = item[method]
                answer, name = _response(nodes, operation)
                params = parameters(nodes, operation)
                operations.append([method.upper(), path, operation["operationId"], params, answer, name])
    objects = {name: shape(nodes, schema) for name, schema in sorted(document["components"]["schemas"].items())}
    index = {"version": document["info"]["version"], "operations": operations, "objects": objects}
    return "\n".join([json.dumps(index, separators=(",", ":")), *nodes.lines]).encode()


def _download() -> Schema:
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--python-version", "3.14"]
        subprocess.run([*command, "--only-binary", ":all:", "--dest", folder, PACKAGE], check=True)  # noqa: S603 - fixed words
        wheel = next(Path(folder).glob("*.whl"))
        with zipfile.ZipFile(wheel) as archive:
            loaded: Schema = json.loads(archive.read(MEMBER))
            return loaded


def main() -> None:
    """Write the catalog beside this file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spec", type=Path, help="an OpenAPI document of Stripe's; downloaded when not given")
    given = parser.parse_args().spec
    document = json.loads(given.read_text("utf-8")) if given else _download()
    text = compile_catalog(document)
    TARGET.write_bytes(gzip.compress(text, compresslevel=9, mtime=0))
    sys.stdout.write(f"{TARGET.name}: {TARGET.stat().st_size:,} bytes, unpacked {len(text):,}\n")


if __name__ == "__main__":
    main()
