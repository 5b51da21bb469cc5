"""Whether what a command wrote is whole, for every kind of output.

A folder of files has a manifest of names, sizes and hashes (results, compat reports, the study's
tables); a stream has one for each part. A search's table, each line of its journal, recordings,
cost tables, weights and checkpoints carry a hash of their own content; they state the recipe and
the metrics of a training, whose files are held against them. A trace's manifest binds every bit of
its images.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from simulator.config.read_back import parsed, read_bytes, read_text
from simulator.config.sealed import SEAL, are_tensors_sealed, is_sealed, metadata_of
from simulator.config.staged_folder import MANIFEST, verify_folder
from simulator.config.wording import cell, shown
from simulator.errors import ResultError, SimulatorError, SpaceError, TraceError
from simulator.results.streamed import KIND, stream_problems
from simulator.results.sweep_result import POINTS, SweepResult
from simulator.trace import Trace

MOST_BYTES = 1 << 30
MOST_TENSOR_BYTES = 1 << 34
JOURNAL = "journal.jsonl"


class Verification(NamedTuple):
    """Hold what a path holds, in words, and what is wrong with it, a line each."""

    holds: str
    problems: Sequence[str]


def verify(path: Path) -> Verification:
    """Look at all of an output. Raises SimulatorError where it is none of ours."""
    if path.suffix == ".npz":
        return _trace(path)
    if path.suffix == ".safetensors":
        sound, _ = _sealed_tensors(path)
        return Verification("weights", () if sound else [f"{path}: has changed"])
    if path.is_file():
        return _sealed_file(path)
    if (path / JOURNAL).exists() or (path / POINTS).exists():
        return _sweep(path)
    if any(path.glob("*.safetensors")) and not (path / MANIFEST).exists():
        return _training(path)
    return _folder(path)


def _training(folder: Path) -> Verification:
    """Weights and checkpoint by their hashes, recipe and metrics by what those state.

    Metrics are written before the checkpoint, so they may be an epoch ahead of it.
    """
    problems: list[str] = []
    stated: dict[str, dict[str, Any]] = {}
    for path in sorted(folder.glob("*.safetensors")):
        sound, stated[path.stem] = _sealed_tensors(path)
        problems += [] if sound else [f"{path}: has changed"]
    recipe = folder / "recipe.json"
    if recipe.exists():
        own = parsed(read_text(recipe, MOST_BYTES, ResultError), str(recipe), ResultError)
        if own != stated.get("last", {}).get("recipe"):
            problems.append(f"{recipe}: is not the recipe that last.safetensors states")
    rows = stated.get("checkpoint", {}).get("position", {}).get("rows", [])
    if rows:
        metrics = folder / "metrics.csv"
        text = read_text(metrics, MOST_BYTES, ResultError)
        found = list(csv.DictReader(text.splitlines()))
        wanted = [{name: _text(cell(value)) for name, value in row.items()} for row in rows]
        if found[: len(wanted)] != wanted or len(found) > len(wanted) + 1:
            problems.append(f"{metrics}: has not the rows that checkpoint.safetensors states")
    return Verification(f"a training of {len(rows)} epochs", problems)


def _text(value: object) -> str:
    return "" if value is None else str(value)


def _folder(folder: Path) -> Verification:
    """A folder with a manifest; a stream's parts have theirs."""
    try:
        manifest, problems = verify_folder(folder)
    except OSError as error:
        raise ResultError(folder, f"{error.strerror or error}") from None
    kind, count = manifest["kind"], len(manifest["files"])
    if kind == KIND:
        problems = [*problems, *(stream_problems(folder) if not problems else ())]
        count = sum(1 for _ in folder.rglob("*.parquet"))
    return Verification(f"a {kind}, {count} files", problems)


def _sweep(folder: Path) -> Verification:
    """A search: its table and every line of its journal."""
    problems, held = [], 0
    if (folder / POINTS).exists():
        try:
            held = len(SweepResult.load(folder).points)
        except SimulatorError as error:
            problems.append(str(error))
    else:
        problems.append(f"{folder}: holds no {POINTS} yet: the command of it goes on")
    lines, broken = _journal(folder / JOURNAL)
    return Verification(f"a search of {held} points, {lines} in its journal", problems + broken)


def _journal(path: Path) -> tuple[int, list[str]]:
    """How many points a journal has, and which of its lines are not as they were written."""
    if not path.exists():
        return 0, [f"{path}: is missing"]
    content = read_bytes(path, MOST_BYTES, SpaceError)
    lines = content.decode("utf-8", errors="replace").splitlines()
    problems = [] if content.endswith(b"\n") else [f"{path}: its last line was cut off"]
    for number, line in enumerate(lines[: len(lines) - len(problems)], start=1):
        try:
            found = parsed(line, f"{path}:{number}", SpaceError)
        except SpaceError as error:
            problems.append(str(error))
            continue
        if not (isinstance(found, dict) and is_sealed(found) and json.dumps(found) == line):
            problems.append(f"{path}:{number}: has changed")
    return max(len(lines) - 1, 0), problems


def _trace(path: Path) -> Verification:
    """A trace of any version: every image, and the manifest's counts."""
    try:
        with Trace.open(path) as trace:
            trace.verify()
            return Verification(f"a trace of {trace.images} images", ())
    except TraceError as error:
        return Verification("a trace", [str(error)])


def _sealed_tensors(path: Path) -> tuple[bool, dict[str, Any]]:
    """Whether a tensor file fits its hash, and what it states beside its tensors."""
    content = read_bytes(path, MOST_TENSOR_BYTES, ResultError)
    try:
        return are_tensors_sealed(content), metadata_of(content)
    except ValueError as error:
        raise ResultError(path, f"{error}") from None


def _sealed_file(path: Path) -> Verification:
    """A recording or a cost table."""
    content = parsed(read_text(path, MOST_BYTES, ResultError), str(path), ResultError)
    if not isinstance(content, dict) or SEAL not in content:
        rule = "of a folder give the folder; a file must be a trace, a recording or a cost table"
        raise ResultError(path, f"holds no {SEAL}", rule)
    kind = shown(content.get("schema"))
    return Verification(f"a file of {kind}", () if is_sealed(content) else [f"{path}: has changed"])
