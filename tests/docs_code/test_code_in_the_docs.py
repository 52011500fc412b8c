"""What the pages show is true of the code: Python is run here, other languages by `make docs-code`, data is parsed."""

from __future__ import annotations

import json
import os
import runpy
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from itertools import groupby
from pathlib import Path

import pytest
import yaml
from cloneservice.testing import LocalCloneService

from docs.site import commands, drawings
from fake_stripe import FakeStripe
from tests.docs_code import shell
from tests.docs_code.blocks import PROGRAMS, ROOT, TEXT, Block, blocks, blocks_of, runnable

PROGRAMS_HERE = [block for block in runnable("python") if not block.is_test and not block.file]
STORIES = {page: list(found) for page, found in groupby(PROGRAMS_HERE, lambda block: block.page)}
"""Programs by page: those of one page run one after the other, each in its own namespace."""
READERS: dict[str, Callable[[str], object]] = {"json": json.loads, "yaml": yaml.safe_load, "toml": tomllib.loads}
TEST_FILES = [block for block in runnable("python") if block.is_test]


@pytest.fixture(scope="module")
def service() -> Iterator[LocalCloneService]:
    """What `127.0.0.1:50051`, `cus_...` and `acct_...` mean in a page: what `cloneservice-server dev` serves."""
    with FakeStripe(seed="dev", api_key="sk_test_dev") as fake, LocalCloneService(fake, fake.api_key) as running:
        yield running


@pytest.mark.parametrize("block", blocks(), ids=lambda block: block.place)
def test_every_block_is_run_parsed_or_says_why_not(block: Block) -> None:
    assert block.language in PROGRAMS | READERS.keys() | TEXT, "a language that no test knows, or none at all"
    if block.not_run:
        assert block.language in PROGRAMS
        assert len(block.not_run.split()) > 2, "say why"


@pytest.mark.parametrize("page", STORIES)
def test_the_programs_of_a_page_run(
    page: str, service: LocalCloneService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for block in STORIES[page]:
        code = block.code.replace("127.0.0.1:50051", service.target)
        code = code.replace("cus_...", service.customers["pays"]).replace("acct_...", service.accounts["bakery"])
        program = tmp_path / f"{Path(page).stem}_line_{block.line}.py"
        program.write_text(code, encoding="utf-8")
        runpy.run_path(str(program))


@pytest.mark.parametrize("block", [block for block in blocks() if block.file], ids=lambda block: block.file)
def test_a_file_that_a_page_shows_is_run_by_its_commands(block: Block) -> None:
    shown = "".join(other.code for other in runnable("console") if other.page == block.page)

    assert f"$ python {block.file}\n" in shown


def test_the_test_files_of_the_pages_pass(tmp_path: Path) -> None:
    for block in TEST_FILES:
        name = "_".join([*Path(block.page).with_suffix("").parts, str(block.line)]).replace("-", "_")
        (tmp_path / f"test_{name}.py").write_text(block.code, encoding="utf-8")
    plugins = ["-p", "fake_stripe.pytest_plugin", "-p", "cloneservice_server.pytest_plugin"]
    paths = os.pathsep.join(str(ROOT / folder) for folder in ("client", "server", "fake_stripe"))
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": paths}
    command = [sys.executable, "-m", "pytest", "-q", "--rootdir", str(tmp_path), *plugins]
    done = subprocess.run([*command, str(tmp_path)], capture_output=True, text=True, check=False, env=environment)

    assert len(TEST_FILES) > 1
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    "block", [block for block in blocks() if block.language in READERS], ids=lambda block: block.place
)
def test_data_is_well_formed(block: Block) -> None:
    assert READERS[block.language](block.code)


@pytest.mark.parametrize("draw", drawings.DRAWINGS, ids=lambda draw: draw.__name__)
def test_the_drawings_are_those_of_the_script(draw: Callable[[], drawings.Drawing]) -> None:
    drawing = draw()
    committed = (drawings.FOLDER / f"{drawing.name}.svg").read_text(encoding="utf-8")

    assert committed == drawing.svg(), "run `python -m docs.site.drawings`"


def test_a_marker_belongs_to_the_block_below_it() -> None:
    page = (
        "<!-- not run: needs a cluster here -->\n```console\n$ x\n```\n\n    ```python\n    if a:\n        b\n    ```\n"
    )

    marked, indented = blocks_of("page.md", page)
    assert (marked.line, marked.language, marked.not_run) == (2, "console", "needs a cluster here")
    assert (indented.code, indented.not_run) == ("if a:\n    b\n", "")


@pytest.mark.parametrize(
    "block", [block for block in blocks() if block.language == "console"], ids=lambda block: block.place
)
def test_our_programs_understand_each_command_whether_it_is_run_or_not(block: Block) -> None:
    for command, _ in shell.commands_of([block]):
        program, *words = shlex.split(command.replace(";", " ; ").partition(" &")[0].removesuffix(" ..."))
        if program in commands.PARSERS:
            assert commands.PARSERS[program]().parse_args(words)


def test_what_a_command_prints_is_held_against_the_page() -> None:
    page = "```console\n$ pay --to a \\\n    --now  # at once\nstate ... paid\n...\n$ serve\n```\n"
    typed = shell.commands_of(list(blocks_of("page.md", page)))
    printed = "id 17\nstate   paid\n\n##### 0\nup\n\n##### 1\n"

    assert typed == [("pay --to a --now", ["state ... paid", "..."]), ("serve", [])]
    shell.compare(typed, printed)
    with pytest.raises(shell.Unexpected, match="should print: state"):
        shell.compare(typed, printed.replace("paid", "declined"))
    with pytest.raises(shell.Unexpected, match="stopped in: serve"):
        shell.compare(typed, "state paid\n\n##### 0\nno such port")


def test_servers_that_a_page_starts_are_waited_for() -> None:
    lines = shell.script_of(["fake-stripe serve --port 7", "cloneservice-server serve &", "curl x"]).splitlines()

    assert "fake-stripe serve --port 7 &" in lines
    assert lines[lines.index("fake-stripe serve --port 7 &") + 1] == "ready 7"
    assert 'ready "${CLONESERVICE_LISTEN#*:}"' in lines
    assert "curl x" in lines
