"""Results out of files and folders, each with a name that tells it from the others."""

from __future__ import annotations

import itertools
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from reports.figures.base import Run
from simulator.energy.break_even import Design
from simulator.errors import ResultError, SimulatorError
from simulator.results.intervals import design_of, with_bounds
from simulator.results.pairing import shared
from simulator.results.result import MAIN_FILES, Result
from simulator.results.summary import summary

_HASH_DIGITS = 8


Named = tuple[str, str | Path, Result]
"""A result with its label, "" where it has none, and where it was found."""


def load_runs(paths: Sequence[str]) -> list[Run]:
    """Return the results at these paths, and in the folders below them, in order of the paths.

    A path may have a label ahead of it, `name=path`. Raises ResultError for a path without a
    result, for two different results of one design on one workload, and for designs of a workload
    that ran no image in common.
    """
    return runs_of([found for path in paths for found in found_at(*_labelled(path))])


def found_at(path: str, label: str = "") -> list[Named]:
    """Return the result at a path, or all results in the folders below it."""
    return [(label, file, Result.load(file)) for file in _files(Path(path))]


def runs_of(found: Sequence[Named]) -> list[Run]:
    """Name results.

    A design is named by its label, else as its architecture is, with what its command replaced in
    it; a workload as its trace's file. Where that is not enough a stream is named by its arrivals
    too, and both by a hash. The same run found twice is one.
    """
    overridden = [_overrides(result.provenance["command"]) for _, _, result in found]
    short = _short_paths([path for each in overridden for path in each])
    replaced = [{short[path]: value for path, value in each.items()} for each in overridden]
    designs = _names(
        [
            (label, label) if label else _design_names(result, own)
            for (label, _, result), own in zip(found, replaced, strict=True)
        ]
    )
    workloads = _names([_workload_names(result) for _, _, result in found])
    runs: dict[tuple[str, str], tuple[str | Path, Result]] = {}
    for (_, file, result), design, workload in zip(found, designs, workloads, strict=True):
        earlier, known = runs.setdefault((design, workload), (file, result))
        if known is not result and not known.is_same_run(result):
            rule = f"{earlier} is that too, with other numbers: give each a label, name=path"
            raise ResultError(file, f"{design} on {workload}", rule)
    names = [[name[place] for name in runs] for place in (0, 1)]
    return _on_shared_images(names[0], names[1], [result for _, result in runs.values()])


def _labelled(path: str) -> tuple[str, str]:
    """The path and the label ahead of it; a path that is there has none."""
    label, equals, rest = path.partition("=")
    return (rest, label) if equals and label and not Path(path).exists() else (path, "")


def _on_shared_images(
    designs: Sequence[str], workloads: Sequence[str], results: Sequence[Result]
) -> list[Run]:
    """The runs, each over the images that all designs of its workload ran."""
    kept = list(results)
    for workload in dict.fromkeys(workloads):
        places = [place for place, name in enumerate(workloads) if name == workload]
        names = [f"{designs[place]} on {workload}" for place in places]
        both = shared([results[place] for place in places], names)
        for place, result in zip(places, both, strict=True):
            kept[place] = result
    return [
        Run(design, workload, own, summary(own), entire.images - own.images, priced(own))
        for design, workload, own, entire in zip(designs, workloads, kept, results, strict=True)
    ]


def priced(result: Result) -> Design | None:
    """Return a result as a design between bounds; None where it states too little."""
    try:
        return design_of(with_bounds(result))
    except SimulatorError:
        return None


def _files(path: Path) -> list[Path]:
    """The result at a path, or all results in the folders below it."""
    if not path.is_dir() or any((path / name).is_file() for name in MAIN_FILES):
        return [path]
    found = sorted({file.parent for name in MAIN_FILES for file in path.rglob(name)})
    if not found:
        raise ResultError(f"{path}: holds no result: must be a result, or a folder with results")
    return found


def _names(candidates: Sequence[tuple[str, ...]]) -> list[str]:
    """For each entry its first name that no entry of another identity shares.

    A candidate is names from short to long; the last one is the identity itself.
    """
    identities: dict[str, set[str]] = {}
    for names in candidates:
        for name in names:
            identities.setdefault(name, set()).add(names[-1])
    shared = Counter({name: len(those) for name, those in identities.items()})
    return [
        next((name for name in names[:-1] if shared[name] == 1), names[-1]) for names in candidates
    ]


def _design_names(result: Result, overrides: Mapping[str, str]) -> tuple[str, ...]:
    machine: dict[str, Any] = result.provenance["architecture"]
    name, digest = str(machine["name"]), _short_hash(machine["content_hash"])
    accounting = result.provenance.get("accounting", "full")
    if accounting != "full":
        name, digest = f"{name} ({accounting})", f"{digest} {accounting}"
    name = ", ".join([name, *(f"{path}={value}" for path, value in overrides.items())])
    if stream := result.provenance.get("stream"):
        arrivals = str(stream["arrivals"])
        return name, f"{name}, {arrivals}", f"{name} {digest}, {arrivals}"
    return name, f"{name} {digest}"


def _overrides(command: str) -> dict[str, str]:
    """What `--set` replaced: values by the paths of their fields."""
    try:
        words = shlex.split(command)
    except ValueError:
        return {}
    pairs = itertools.pairwise(words)
    given = [value for option, value in pairs if option == "--set"]
    given += [word.removeprefix("--set=") for word in words if word.startswith("--set=")]
    kept = [text.partition("=") for text in given]
    return {path: value for path, _, value in kept}


def _short_paths(paths: Sequence[str]) -> dict[str, str]:
    """Each path by as few of its last words as tell it from the other paths."""
    words = {path: path.split(".") for path in dict.fromkeys(paths)}
    short = {}
    for path, own in words.items():
        others = [each for name, each in words.items() if name != path]
        count = next(
            (n for n in range(1, len(own)) if all(each[-n:] != own[-n:] for each in others)),
            len(own),
        )
        short[path] = ".".join(own[-count:])
    return short


def _workload_names(result: Result) -> tuple[str, ...]:
    trace = result.provenance["trace"]
    name = str(trace["file"]).removesuffix(".npz").removesuffix(".zarr")
    return name, f"{name} {_short_hash(trace['content_hash'])}"


def _short_hash(text: str) -> str:
    return str(text).removeprefix("sha256:")[:_HASH_DIGITS]
