"""Generate the Python code of the contract, or check that what is committed is what the contract gives.

    python protos/generate.py            # write client/cloneservice/{v1,service_config.json} and Envoy's descriptors
    python protos/generate.py --check    # exit 1 and name each file that differs
    python protos/generate.py --image F  # write a descriptor image for `buf lint` and `buf breaking`, offline
    python protos/generate.py --image F --with google/rpc/error_details.proto  # for `buf generate`, with more files

The proto path is the import path (`cloneservice/v1/x.proto` -> `cloneservice.v1.x_pb2`), so nothing is rewritten.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from grpc_tools import protoc

ROOT = Path(__file__).resolve().parent
TARGET = ROOT.parent
PACKAGE = Path("cloneservice/v1")
GENERATOR = (
    "1.76.0"  # gencode runs on newer runtimes only: pinned one protobuf major behind (pyproject.toml, group gen)
)


DESCRIPTORS = Path("deploy/envoy/cloneservice.binpb")
"""For Envoy's transcoder between JSON and gRPC."""
ERROR_DETAILS = ("google/rpc/status.proto", "google/rpc/error_details.proto")
"""Without them among the descriptors Envoy answers an error with an empty body."""


def _protoc(*arguments: str, more: Sequence[str] = ()) -> None:
    well_known = Path(protoc.__file__).parent / "_proto"
    google_apis = Path(str(importlib.metadata.distribution("googleapis-common-protos").locate_file("")))
    sources = [str(path.relative_to(ROOT)) for path in sorted((ROOT / PACKAGE).glob("*.proto"))]
    command = ["protoc", f"-I{ROOT}", f"-I{well_known}", f"-I{google_apis}", *arguments, *sources, *more]
    if protoc.main(command) != 0:
        sys.exit("protoc failed")


def _generate(out: Path) -> dict[Path, bytes]:
    _protoc(
        f"--python_out={out}", f"--grpc_python_out={out}", f"--mypy_out=quiet:{out}", f"--mypy_grpc_out=quiet:{out}"
    )
    for stem in ("types", "errors"):  # no service in them
        for generated in (out / PACKAGE).glob(f"{stem}_pb2_grpc.py*"):
            generated.unlink()
    client = Path("client")
    files = {client / path.relative_to(out): path.read_bytes() for path in sorted((out / PACKAGE).glob("*_pb2*"))}
    # One retry policy for all languages; shipped in the Python client as package data.
    files[client / "cloneservice/service_config.json"] = (ROOT / "service_config.json").read_bytes()
    descriptors = out / DESCRIPTORS.name
    _protoc("--include_imports", f"--descriptor_set_out={descriptors}", more=ERROR_DETAILS)
    files[DESCRIPTORS] = descriptors.read_bytes()
    return files


def main() -> int:
    """Run the generator; return the process exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    parser.add_argument("--image", type=Path, metavar="FILE", help="write a descriptor image instead")
    parser.add_argument("--with", action="append", default=[], dest="more", metavar="PROTO", help="also in the image")
    options = parser.parse_args()
    if (have := importlib.metadata.version("grpcio-tools")) != GENERATOR:
        sys.exit(f"grpcio-tools {GENERATOR} is pinned for generation, found {have}")
    if options.image:
        _protoc(
            "--include_imports", "--include_source_info", f"--descriptor_set_out={options.image}", more=options.more
        )
        return 0
    with tempfile.TemporaryDirectory() as folder:
        files = _generate(Path(folder))
    differing = [
        path for path, text in files.items() if not (TARGET / path).is_file() or (TARGET / path).read_bytes() != text
    ]
    if options.check:
        print("\n".join(f"differs from the contract: {path}" for path in differing) or "generated code is current")
        return 1 if differing else 0
    for path in differing:
        (TARGET / path).parent.mkdir(parents=True, exist_ok=True)
        (TARGET / path).write_bytes(files[path])
        print(f"wrote {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
