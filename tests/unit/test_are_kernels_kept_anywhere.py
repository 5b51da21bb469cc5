"""Are compiled kernels kept where something can be written, and compiled again when cut off?"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
KERNEL = """\
import sys
from simulator.config.kernel_cache import use_kernel_cache
use_kernel_cache()
from numba import njit

@njit(cache=True)
def inner(x):
    return x + 1

@njit(cache=True)
def twice(x):
    return inner(x) * 2

for word in sys.argv[1:]:
    print(twice(float(word) if "." in word else int(word)))
print(sum(twice.stats.cache_hits.values()), twice.stats.cache_path)
"""


def kernel(folder: Path, *words: str, **environment: str) -> subprocess.Popen[str]:
    (folder / "kernel.py").write_text(KERNEL)
    outside = {name: value for name, value in os.environ.items() if not name.startswith("NUMBA_")}
    return subprocess.Popen(
        [sys.executable, str(folder / "kernel.py"), *words],
        env=outside | {"PYTHONPATH": str(ROOT)} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def lines_of(process: subprocess.Popen[str]) -> list[str]:
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert err == ""
    return out.splitlines()


SHAPES = """\
from typing import NamedTuple

class NAME(NamedTuple):
    width: int
    height: int

Same = NAME
"""
TYPED = """\
from simulator.config.kernel_cache import use_kernel_cache
use_kernel_cache()
import numba
import shapes

@numba.njit(cache=True)
def area(shape):
    return shape.width * shape.height

print(area(shapes.Same(3, 4)), sum(area.stats.cache_hits.values()))
"""


def test_a_renamed_class_compiles_its_kernels_again(tmp_path: Path) -> None:
    (tmp_path / "typed.py").write_text(TYPED)
    outside = {name: value for name, value in os.environ.items() if not name.startswith("NUMBA_")}
    place = {"PYTHONPATH": f"{ROOT}:{tmp_path}", "NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    for name, printed in (("Shape", "12 0"), ("Shape", "12 1"), ("Box", "12 0"), ("Box", "12 1")):
        (tmp_path / "shapes.py").write_text(SHAPES.replace("NAME", name))
        run = subprocess.run(
            [sys.executable, "-B", str(tmp_path / "typed.py")],
            env=outside | place,
            capture_output=True,
            text=True,
        )
        assert run.stdout.split("\n")[0] == printed, run.stderr
        assert run.stderr == ""


@pytest.mark.parametrize(
    ("ending", "damage"), [(".nbi", "empty"), (".nbi", "half"), (".nbc", "one byte less")]
)
def test_kernels_that_were_cut_off_are_compiled_again(
    tmp_path: Path, ending: str, damage: str
) -> None:
    place = {"NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    assert lines_of(kernel(tmp_path, "3", **place))[1].startswith("0 ")
    files = [*(tmp_path / "cache").rglob(f"*{ending}")]
    assert len(files) == 2
    for file in files:
        content = file.read_bytes()
        broken = {
            "empty": b"",
            "half": content[: len(content) // 2],
            "one byte less": content[:-1],
        }
        file.write_bytes(broken[damage])
    again = lines_of(kernel(tmp_path, "3", **place))
    assert again[0] == "8"
    assert again[1].startswith("0 ")
    assert lines_of(kernel(tmp_path, "3", **place))[1].startswith("1 ")


def test_a_kernel_that_is_loaded_calls_for_one_that_is_compiled(tmp_path: Path) -> None:
    """What compiling needs is there when a later kernel, or other types, have to be compiled."""
    place = {"NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    assert lines_of(kernel(tmp_path, "3", **place))[0] == "8"
    assert lines_of(kernel(tmp_path, "3", "3.5", **place))[:2] == ["8", "9.0"]


PART = """\
import numpy as np
from simulator.config.kernels import kernel, kernel_part

@kernel_part
def third(values, at):
    values[at] += 1
    return values[at]

@kernel_part
def second(values, at):
    return third(values, at) + third(values, at + 1)

@kernel
def first(values):
    values[0] = second(values, 1) * 10

values = np.arange(3)
first(values)
print(values.tolist(), len(third.overloads) > 0)
"""


def test_a_part_has_no_machine_code_of_its_own(tmp_path: Path) -> None:
    """Only the kernel that calls it is made machine code of, and kept; a second run loads it."""
    (tmp_path / "parts.py").write_text(PART)
    place = {"PYTHONPATH": str(ROOT), "NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    outside = {name: value for name, value in os.environ.items() if not name.startswith("NUMBA_")}
    for compiled in (True, False):
        command = [sys.executable, str(tmp_path / "parts.py")]
        out = subprocess.run(
            command, env=outside | place, capture_output=True, text=True, check=True
        )
        assert out.stdout == f"[50, 2, 3] {compiled}\n"
    kept = {path.name.split("-")[0] for path in (tmp_path / "cache").rglob("*.nb?")}
    assert kept == {"parts.first"}


FACTOR = """\
from simulator.config.kernels import kernel_part
import package.sizes as sizes

@kernel_part
def scaled(value):
    return value * sizes.FACTOR
"""
SCALED = """\
from simulator.config.kernels import kernel
from package.factor import scaled

@kernel
def all_scaled(value):
    return scaled(value)

print(all_scaled(5), sum(all_scaled.stats.cache_hits.values()))
"""


@pytest.mark.parametrize(
    ("changed", "printed"),
    [
        ({"sizes": "FACTOR = 3\n"}, "15 0"),
        ({"factor": FACTOR.replace("* sizes.FACTOR", "* 3")}, "15 0"),
        ({}, "10 1"),
    ],
)
def test_a_kernel_follows_the_files_of_its_parts(
    tmp_path: Path, changed: dict[str, str], printed: str
) -> None:
    (tmp_path / "package").mkdir()
    contents = {"sizes": "FACTOR = 2\n", "factor": FACTOR, "job": SCALED}
    place = {"PYTHONPATH": f"{ROOT}:{tmp_path}", "NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    outside = {name: value for name, value in os.environ.items() if not name.startswith("NUMBA_")}
    command = [sys.executable, "-B", "-c", "import package.job"]
    for written, expected in ((contents, "10 0"), (changed, printed)):
        for name, content in written.items():
            (tmp_path / "package" / f"{name}.py").write_text(content)
        out = subprocess.run(
            command, env=outside | place, capture_output=True, text=True, check=True
        )
        assert out.stdout == f"{expected}\n"


def test_an_install_that_cannot_be_written_works_without_a_home(tmp_path: Path) -> None:
    source, temporary = tmp_path / "source", tmp_path / "temporary"
    source.mkdir()
    temporary.mkdir()
    # As on a read-only disk, and for root too: a file where the folder would have to be.
    (source / "__pycache__").write_text("")
    place = {"HOME": "/proc/absent", "TMPDIR": str(temporary), "PYTHONDONTWRITEBYTECODE": "1"}
    place["XDG_CACHE_HOME"] = "/proc/absent"
    assert lines_of(kernel(source, "3", **place))[0] == "8"
    hits, path = lines_of(kernel(source, "3", **place))[1].split()
    assert hits == "1"
    own = temporary / f"stasim-kernels-{os.getuid()}"
    assert Path(path).parent == own
    assert own.stat().st_mode & 0o077 == 0
    own.chmod(0o777)
    process = kernel(source, "3", **place)
    _, err = process.communicate(timeout=120)
    assert process.returncode != 0
    assert "must be a folder that only you can read" in err.splitlines()[-1]


def test_processes_that_compile_at_once_get_their_own_code(tmp_path: Path) -> None:
    """Each asks for the types in another order, so that indexes are written at the same time."""
    place = {"NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    orders = [("3", "3.5"), ("3.5", "3"), ("3", "3.5"), ("3.5", "3")]
    running = [kernel(tmp_path, *words, **place) for words in orders]
    for words, process in zip(orders, running, strict=True):
        assert lines_of(process)[:2] == ["8" if word == "3" else "9.0" for word in words]
    assert lines_of(kernel(tmp_path, "3", "3.5", **place))[:2] == ["8", "9.0"]
