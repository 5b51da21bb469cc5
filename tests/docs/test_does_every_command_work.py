"""Every command of the documentation is executed, or its page says why not, and parses at least."""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.pages import MARK, PAGES, ROOT, blocks, script

LANGUAGES = ("bash", "console")
LIMIT_S = 600
"""A block that takes longer has to be marked. (A page as a whole should take some seconds.)"""

# Copied, so that a page may add a file to them; everything else is linked.
COPIED = ("simulator", "reports")


def _name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def _executed(page: Path) -> bool:
    return any(block.language in LANGUAGES and not block.excuse for block in blocks(page))


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that looks like the repository, in which a page may write; kernels compile once."""
    folder = tmp_path_factory.mktemp("workplace")
    for path in ROOT.iterdir():
        if path.name in COPIED:
            skip = shutil.ignore_patterns("out")
            shutil.copytree(path, folder / path.name, ignore=skip, symlinks=False)
        elif not path.name.startswith(".") and path.name != "build":
            (folder / path.name).symlink_to(path)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in PAGES if _executed(page)], ids=_name)
def test_the_commands_of_a_page_work_one_after_another(page: Path, workplace: Path) -> None:
    shutil.rmtree(workplace / "reports" / "out", ignore_errors=True)
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    for block in blocks(page):
        if block.language not in LANGUAGES or block.excuse:
            continue
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script(block)],
            cwd=workplace,
            env=os.environ | {"PATH": path, "PYTHONPATH": str(workplace)},
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
        )
        assert done.returncode == 0, f"{_name(page)}:{block.line}\n{done.stdout}\n{done.stderr}"


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_blocks_that_hold_commands_are_marked_as_such(page: Path) -> None:
    """So that the test above finds them: a command in a block without a language is not run."""
    commands = re.compile(r"^\s*(\$ )?(python -m|pip install|make|torchrun) ", re.MULTILINE)
    for block in blocks(page):
        if block.language not in LANGUAGES:
            assert not commands.search(block.text), f"{_name(page)}:{block.line}: say bash"


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_whoever_is_not_run_says_why(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    excused = [block for block in blocks(page) if block.excuse]
    assert text.count(MARK) == len(excused), f"{_name(page)}: a mark without a block behind it"
    assert all(len(block.excuse.split()) >= 3 for block in excused)


@functools.cache
def _help(module: str) -> str:
    """What a module says of its options; empty if it has none to say."""
    done = subprocess.run(
        [sys.executable, "-m", module, "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, f"python -m {module} --help: {done.stderr}"
    return done.stdout


# No commands of ours, or modules that have no options.
_OTHERS = ("pytest", "mkdocs", "pip", "venv", "http.server")
_COMMAND = re.compile(r"python -m ([\w.]+)((?:\\\n|[^\n`|>&;])*)")


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_every_command_that_is_named_exists_with_its_options(page: Path) -> None:
    """In running text too, and in blocks that are not run."""
    for module, rest in _COMMAND.findall(page.read_text(encoding="utf-8")):
        if module in _OTHERS or module.isupper():
            continue
        told = _help(module.rstrip("."))
        for option in re.findall(r"(?<![\w-])--[a-z][\w-]*", rest):
            assert option in told, f"{_name(page)}: python -m {module} has no {option}"
