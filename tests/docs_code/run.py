"""Run what the pages show in other languages than Python: commands, and programs and tests in Go, Node and Java.

    python -m tests.docs_code.run [console | go | ts | js | java ...]    (or `make docs-code`)

Programs meet a `cloneservice-server dev` and its double where the page says 127.0.0.1:50051 and :12111. Commands are
played by tests/docs_code/shell.py. Ends with `N passed, N failed`.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path

from tests.docs_code import shell
from tests.docs_code.blocks import Block, runnable
from tests.polyglot.run import BIN, ROOT

SDK = ROOT / "tests/polyglot/sdk"
_TIMEOUT_S = 300


@dataclass(frozen=True, slots=True)
class World:
    """The servers of this run."""

    target: str
    double: str
    """host:port of fake_stripe."""

    def told(self, code: str) -> str:
        """The code with this run's addresses."""
        return code.replace("127.0.0.1:50051", self.target).replace("12111", self.double.rpartition(":")[2])


class Failed(Exception):  # noqa: N818 - reads as what happened
    """A block did not do what its page says."""


def ran(command: Sequence[str], folder: Path) -> str:
    """What a command printed. Raises Failed with all it said when it fails."""
    environment = {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=_TIMEOUT_S
    )
    if done.returncode != 0:
        raise Failed(f"{' '.join(command)}: exit code {done.returncode}\n{done.stdout[-4000:]}{done.stderr[-4000:]}")
    return done.stdout


@contextmanager
def written(path: Path, code: str) -> Iterator[Path]:
    """A file for as long as it takes."""
    made = [parent for parent in path.parents if not parent.exists()]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(code, encoding="utf-8")
    try:
        yield path
    finally:
        path.unlink()
        for parent in made:
            parent.rmdir()


def _expect(wanted: str, printed: str) -> None:
    if wanted not in printed:
        raise Failed(f"printed no {wanted}:\n{printed[-2000:]}")


def go(block: Block, world: World) -> None:
    """A program beside the client, or a test with Stripe's SDK."""
    code = world.told(block.code)
    if "cloneservice" in code:
        with written(ROOT / "client/go/cmd/page/main.go", code):
            return _expect("STATE_SUCCEEDED", ran(["go", "run", "./cmd/page"], ROOT / "client/go"))
    with tempfile.TemporaryDirectory() as folder:
        for name in ("go.mod", "go.sum"):
            shutil.copyfile(SDK / "go" / name, Path(folder, name))
        Path(folder, "page_test.go").write_text(code, encoding="utf-8")
        return _expect("ok", ran(["go", "test", "-count=1", "."], Path(folder)))


def ts(block: Block, world: World) -> None:
    """A program beside the client for Node."""
    client = ROOT / "client/node"
    with written(client / "src/page.ts", world.told(block.code)):
        ran(["npx", "tsc"], client)
    _expect("chg_", ran(["node", "dist/src/page.js"], client))


def js(block: Block, world: World) -> None:
    """A test with Stripe's SDK for Node."""
    ran(["npm", "ci", "--silent"], SDK / "node")
    with written(SDK / "node/page.test.mjs", world.told(block.code)):
        _expect("# pass 1", ran(["node", "--test", "--test-reporter=tap", "page.test.mjs"], SDK / "node"))


def java(block: Block, world: World) -> None:
    """A program beside the client, or a test with Stripe's SDK."""
    code, name = world.told(block.code), re.search(r"^(?:public final )?class (\w+)", block.code, re.MULTILINE)
    if name is None:
        raise Failed("no class in it")
    maven = ["mvn", "-q", "-B"]
    if "com.cloneservice" in code:
        client = ROOT / "client/java"
        with written(client / f"src/main/java/com/cloneservice/example/{name[1]}.java", code):
            ran([*maven, "compile", "dependency:build-classpath", "-Dmdep.outputFile=target/classpath"], client)
        classes = (client / "target/classpath").read_text(encoding="utf-8")
        main = f"com.cloneservice.example.{name[1]}"
        return _expect("STATE_SUCCEEDED", ran(["java", "-cp", f"target/classes:{classes}", main], client))
    with tempfile.TemporaryDirectory() as folder:
        shutil.copyfile(SDK / "java/pom.xml", Path(folder, "pom.xml"))
        with written(Path(folder, f"src/test/java/{name[1]}.java"), code):
            ran([*maven, "test"], Path(folder))
        return _expect("<testcase", Path(folder, f"target/surefire-reports/TEST-{name[1]}.xml").read_text())


LANGUAGES: dict[str, Callable[[Block, World], None]] = {"go": go, "ts": ts, "js": js, "java": java}


def _told(place: str, work: Callable[[], None]) -> bool:
    try:
        work()
    except (Failed, shell.Unexpected, subprocess.TimeoutExpired) as error:
        print(f"FAILED {place}\n{error}", flush=True)
        return False
    print(f"passed {place}", flush=True)
    return True


def main(names: Sequence[str]) -> int:
    """Run the languages named, or all; the exit code."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    outcomes = []
    with shell.servers() as (target, double):
        world = World(target, double)
        for block in runnable(*LANGUAGES):
            if not names or block.language in names:
                work = partial(LANGUAGES[block.language], block, world)
                outcomes.append(_told(f"{block.place} {block.language}", work))
    if not names or "console" in names:
        for page, found in groupby(runnable("console"), lambda block: block.page):
            files = [block for block in runnable("python") if block.page == page and block.file]
            outcomes.append(_told(f"{page} console", partial(shell.play, list(found), files)))
    print(f"{outcomes.count(True)} passed, {outcomes.count(False)} failed")
    return 0 if outcomes and all(outcomes) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
