"""Does an installed package bring its parts, as docs/extending.md says it does?"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.contract.test_is_each_addition_one_file import run

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "tests" / "example_package"
PAGE = (ROOT / "docs" / "extending.md").read_text("utf-8")
KINDS = ("adder_tree", "buffered_sram", "two_level")
LONGEST_LINES = 60


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that pip installs the package into, as the page prints it."""
    assert (PACKAGE / "pyproject.toml").read_text("utf-8") in PAGE
    source = tmp_path_factory.mktemp("source") / "example"
    shutil.copytree(PACKAGE, source)
    site = tmp_path_factory.mktemp("site")
    options = ["--no-deps", "--no-index", "--no-build-isolation", "--target", str(site)]
    done = subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", *options, str(source)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return site


@pytest.mark.parametrize("kind", KINDS)
def test_the_page_prints_the_part_and_it_is_short(kind: str) -> None:
    code = (PACKAGE / "stasim_example" / f"{kind}.py").read_text("utf-8")
    assert code in PAGE
    assert sum(bool(line.strip()) for line in code.splitlines()) < LONGEST_LINES
    assert f'{kind} = "stasim_example.{kind}"' in PAGE


def test_a_machine_of_foreign_parts_runs_and_names_them(site: Path) -> None:
    command = re.search(r"```bash\npython -m (.*?)```", PAGE, re.DOTALL)
    assert command is not None
    words = re.findall(r'"([^"]*)"|(\S+)', command[1].replace("\\\n", " "))
    arguments = [quoted or plain for quoted, plain in words]
    done = run(site, *arguments, "--images", "0:1", "--json")
    provenance = json.loads(done)["provenance"]["architecture"]
    assert (provenance["pe_array"], provenance["token_skip"]) == ("adder_tree", "two_level")
    spikes = provenance["document"]["cores"][0]["buffers"]["spikes"]
    assert spikes["kind"] == "buffered_sram"


def test_the_table_of_parts_lists_them(site: Path) -> None:
    done = run(site, "simulator.components")
    assert all(f"`{kind}`" in done for kind in KINDS)


@pytest.mark.slow
def test_the_contract_covers_them(site: Path) -> None:
    chosen = " or ".join(KINDS)
    done = run(site, "pytest", "-q", "tests/contract", "-k", chosen, "-p", "no:xdist")
    assert int(re.findall(r"(\d+) passed", done)[0]) >= 3 * 5


def test_without_the_package_they_are_unknown(tmp_path: Path) -> None:
    done = run(tmp_path, "simulator.components")
    assert not any(f"`{kind}`" in done for kind in KINDS)
