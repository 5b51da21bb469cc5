"""Builds the wheel: every package inside of `stasim`, where no folder of a user's can hide it.

A checkout has the packages `simulator`, `models` and `reports` beside each other. In the wheel they
are `stasim.simulator` and so on: this copies them there and writes their imports, and the commands
that they print, as they are there. An editable install keeps the checkout as it is.
"""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

from setuptools import find_namespace_packages, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent
HOUSE = ("simulator", "models", "reports")
LEFT_OUT = ("reports.out*", "*.__pycache__")
LARGEST_TRACE_BYTES = 4_000_000
sys.path.insert(0, str(ROOT))

from stasim.__main__ import COMMANDS  # noqa: E402

CONSOLE = {
    f"{each.package}.{each.module.removesuffix('.__main__')}": name
    for name, each in COMMANDS.items()
}
_NAMES = "|".join(HOUSE)
_FROM = re.compile(rf"^(\s*)from ({_NAMES})(?=[. ])", re.MULTILINE)
_IMPORT = re.compile(rf"^(\s*)import ({_NAMES})$", re.MULTILINE)
_OTHER = re.compile(rf"^\s*import ({_NAMES})\b.*$", re.MULTILINE)
_COMMAND = re.compile(rf"python -m (({_NAMES})(?:\.\w+)+)")


def inside(text: str) -> str:
    """Return the text of a module as it is inside of `stasim`."""
    text = _FROM.sub(r"\1from stasim.\2", text)
    text = _IMPORT.sub(r"\1from stasim import \2", text)
    if other := _OTHER.search(text):
        raise ValueError(f"{other[0].strip()}: must be `import NAME` or `from NAME import ...`")
    return _COMMAND.sub(lambda found: _command(found[1]), text)


def _command(module: str) -> str:
    return f"stasim {CONSOLE[module]}" if module in CONSOLE else f"python -m stasim.{module}"


class Build(build_py):
    """Copies the packages into `stasim`, with the shipped machines and the small traces."""

    def run(self) -> None:
        """Build into an empty folder: a module that is gone would stay in it."""
        if not self.editable_mode:
            shutil.rmtree(self.build_lib, ignore_errors=True)
        super().run()
        if self.editable_mode:
            return
        target = Path(self.build_lib) / "stasim"
        for file in target.rglob("*.py"):
            file.write_text(inside(file.read_text("utf-8")), "utf-8")
        for file in self.shipped():
            place = target / file.relative_to(ROOT)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, place)

    def shipped(self) -> list[Path]:
        """List the machines, spaces and traces that go into the wheel."""
        traces = (ROOT / "traces").glob("*.npz")
        small = [path for path in traces if path.stat().st_size <= LARGEST_TRACE_BYTES]
        return sorted([*(ROOT / "arch_configs").rglob("*.yaml"), *small])


def packages() -> dict[str, str]:
    """Return each package with its folder."""
    include = [pattern for name in HOUSE for pattern in (name, f"{name}.*")]
    found = find_namespace_packages(str(ROOT), include=include, exclude=LEFT_OUT)
    if {"editable_wheel", "develop"} & set(sys.argv):
        return {name: "" for name in [*found, "stasim"]}
    return {"stasim": "stasim"} | {f"stasim.{name}": name.replace(".", "/") for name in found}


LISTED = packages()
setup(
    cmdclass={"build_py": Build},
    packages=list(LISTED),
    package_dir={name: folder for name, folder in LISTED.items() if folder},
)
