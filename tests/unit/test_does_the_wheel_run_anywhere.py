"""Does what pip installs from a wheel run in a folder that is not the repository's?"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PIP = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
OFFLINE = ["--no-deps", "--no-index"]


def called(*words: str, **options: object) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        words, capture_output=True, text=True, timeout=300, check=False, **options
    )  # type: ignore[call-overload]
    assert done.returncode == 0, done.stdout + done.stderr
    result: subprocess.CompletedProcess[str] = done
    return result


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel of the working tree, built without a network."""
    folder, source = tmp_path_factory.mktemp("dist"), tmp_path_factory.mktemp("source")
    wanted = ("simulator", "models", "reports", "stasim", "arch_configs", "traces")
    for name in (*wanted, "setup.py", "pyproject.toml", "README.md", "LICENSE"):
        (source / name).symlink_to(ROOT / name)
    called(*PIP, "wheel", str(source), "--no-deps", "--no-build-isolation", "-w", str(folder))
    (made,) = folder.glob("*.whl")
    return made


@pytest.fixture(scope="module")
def site(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    called(*PIP, "install", *OFFLINE, "--target", str(folder), str(wheel))
    return folder


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """A user's folder, with packages of the names of ours."""
    for name in ("models", "reports", "simulator"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(f"MINE = {name!r}\n")
    return tmp_path


def names(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as file:
        return file.namelist()


def test_the_wheel_holds_one_package_with_machines_and_small_traces(wheel: Path) -> None:
    found = names(wheel)
    assert {name.partition("/")[0].partition("-")[0] for name in found} == {"stasim"}
    for name in ("arch_configs/sparse_pe.yaml", "traces/mnist.npz", "py.typed", "models/train.py"):
        assert f"stasim/{name}" in found
    assert not [name for name in found if "study" in name or "test" in Path(name).name.split("_")]
    assert not [name for name in found if "/experiments/" in name or "experiments/designs" in name]
    assert wheel.stat().st_size < 20e6


def test_no_module_of_the_wheel_imports_a_name_outside(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as file:
        texts = {name: file.read(name).decode() for name in names(wheel) if name.endswith(".py")}
    for name, text in texts.items():
        for line in text.splitlines():
            words = line.split()
            if words[:1] in (["from"], ["import"]) and len(words) > 1:
                assert words[1].split(".")[0] not in ("simulator", "models", "reports"), name
        assert "python -m simulator.run" not in text, name


def test_the_command_runs_in_any_folder(site: Path, elsewhere: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(site)}
    command = [str(site / "bin" / "stasim"), "run", "--arch", "sparse_pe", "--trace", "mnist"]
    called(*command, "--images", "0:2", "--out", "out", cwd=elsewhere, env=environment)
    told = json.loads((elsewhere / "out" / "result.json").read_text("utf-8"))["provenance"]
    assert told["command"] == "stasim run --arch sparse_pe --trace mnist --images 0:2"
    assert (elsewhere / "out" / "page.html").stat().st_size > 1e6
    page = [str(site / "bin" / "stasim"), "compare", "one=out", "two=out", "--out", "c.html"]
    called(*page, cwd=elsewhere, env=environment)
    assert "two" in (elsewhere / "c.html").read_text("utf-8")


def test_the_users_packages_and_ours_live_side_by_side(site: Path, elsewhere: Path) -> None:
    code = """
import models, reports, simulator, stasim
assert (models.MINE, reports.MINE, simulator.MINE) == ("models", "reports", "simulator")
result = stasim.simulate("mnist", "sparse_pe", images=1, jobs=2)
assert stasim.compare([result]).page().startswith("<!")
assert stasim.parts.PEArray and stasim.machines().machine.is_unique
print(type(result).__module__)
"""
    environment = os.environ | {"PYTHONPATH": str(site)}
    done = called(sys.executable, "-c", code, cwd=elsewhere, env=environment)
    assert done.stdout.strip() == "stasim.simulator.results.result"
