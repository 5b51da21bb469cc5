"""Tables in the docs that commands write: simulating a case, and putting a table into its page."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from simulator.architecture import load_architecture
from simulator.command import supervised
from simulator.config.staged_file import staged_file
from simulator.errors import ResultError
from simulator.results.result import Result
from simulator.simulate import Simulation
from simulator.trace import Trace, image_range

ROOT = Path(__file__).parents[1]
RECORDED = ROOT.parent / "shared" / "oracles"
"""Runs of other people's simulators, RTL and boards; no part of this project."""


def run_case(machine: str, trace: str | Path, *overrides: str, images: str = "") -> Result:
    """Simulate a machine of arch_configs on a trace.

    `trace`: a name in traces, or the path of a file; `images`: as `--images`.
    """
    path = trace if isinstance(trace, Path) else ROOT / f"traces/{trace}.npz"
    architecture = load_architecture(ROOT / f"arch_configs/{machine}.yaml", overrides)
    with Trace.open(path) as opened:
        return Simulation(opened, architecture).run(image_range(images or None, opened.images))


def markdown(header: str, rows: Sequence[str]) -> str:
    """A table from its header and its lines."""
    return "\n".join([header, "|---" * (header.count("|") - 1) + "|", *rows])


def line(cells: Sequence[str]) -> str:
    """One line of a table."""
    return "| " + " | ".join(cells) + " |"


def command(
    module: str,
    what: str,
    page: str,
    make: Callable[..., dict[str, str]],
    arguments: Sequence[str] | None = None,
    paths: Mapping[str, tuple[Path | None, str]] | None = None,
) -> int:
    """Print what `make` gives, by the name of its markers, or write it into a page.

    `paths`: options that `make` takes by name, each with its default and its help.
    """

    def work() -> None:
        options = parser.parse_args(arguments)
        made = make(**{name: getattr(options, name) for name in paths or {}})
        if options.write:
            _write(Path(options.write), made)
        else:
            print("\n\n".join(made.values()))

    parser = argparse.ArgumentParser(
        prog=f"python -m {module}",
        description=what,
        epilog=f"example: python -m {module} --write {page}",
    )
    parser.add_argument("--write", metavar="FILE", help="replace what is between the markers")
    for name, (default, said) in (paths or {}).items():
        parser.add_argument(f"--{name}", default=default, type=Path, metavar="PATH", help=said)
    return supervised(work)


def read_page(path: Path, made: dict[str, str]) -> str:
    """Return the text of a page with the tables that were made; raises ResultError."""
    try:
        text = path.read_text("utf-8")
    except (OSError, ValueError) as error:
        raise ResultError(path, f"{getattr(error, 'strerror', None) or error}") from None
    for name, part in made.items():
        text = replaced(text, name, part, path)
    return text


def replaced(text: str, name: str, made: str, path: Path) -> str:
    """Return `text` with what is between the markers of a section replaced."""
    begin, end = f"<!-- {name}: begin", f"<!-- {name}: end -->"
    if text.count(begin) != 1 or text.count(end) != 1:
        raise ResultError(path, f"must hold `{begin} ... -->` and `{end}` once each")
    first = text.index("\n", text.index(begin)) + 1
    return text[:first] + made + "\n" + text[text.index(end) :]


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table from the cells of its header and its lines."""
    return markdown(line(header), [line(row) for row in rows])


def _write(path: Path, made: dict[str, str]) -> None:
    text = read_page(path, made)
    try:
        with staged_file(path) as file:
            file.write(text.encode())
    except OSError as error:
        raise ResultError(path, error.strerror) from None
