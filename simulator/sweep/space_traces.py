"""The traces of a space: one for all points, or one for each value of the model's parameters."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from simulator.config.located_yaml import Document, Location, dotted
from simulator.config.wording import shown, suggestion
from simulator.errors import SimulatorError, SpaceError
from simulator.sweep.metrics import ACCURACY, accuracy_of
from simulator.sweep.space_file import Parameter, SpaceFile
from simulator.trace import Trace, image_range

Scalar = bool | int | float | str | None


class Traces(NamedTuple):
    """`axes`: the model's parameters; `files`: by their values as JSON; `hashes`: by file."""

    axes: dict[str, Parameter]
    files: dict[tuple[str, ...], Path]
    hashes: dict[str, str]


def read_traces(document: Document, written: SpaceFile, trace: str | Path | None) -> Traces:
    """The traces that a file lists, or the one given; what is wrong is put into the document.

    Raises SpaceError if there is none, or both; TraceError for a given one that does not open.
    """
    if trace is not None and written.traces:
        raise SpaceError(f"{document.path}: lists its traces: leave out --trace")
    if trace is not None:
        return Traces({}, {(): Path(trace)}, {str(trace): _opened(Path(trace), written)})
    if not written.traces:
        raise SpaceError(f"{document.path}: lists no traces: needs --trace")
    names = [name for name in written.traces[0] if name != "file"]
    files: dict[tuple[str, ...], Path] = {}
    for number, entry in enumerate(written.traces):
        location: Location = ("traces", number)
        if not _is_entry(document, location, entry, names):
            return Traces({}, {}, {})
        key = tuple(json.dumps(entry[name]) for name in names)
        if key in files:
            text = f"{dotted(location)}: must differ from all others"
            document.report(document.place(location), text)
        files[key] = document.path.parent / entry["file"]
    axes = {
        name: Parameter(choices=tuple(dict.fromkeys(entry[name] for entry in written.traces)))
        for name in names
    }
    _check_product(document, axes, files)
    return Traces(axes, files, _hashes(document, written, files.values()))


def _is_entry(
    document: Document, location: Location, entry: dict[str, Any], names: Sequence[str]
) -> bool:
    """Whether an entry has a file and one value for each name, and nothing else."""
    wrong = []
    if not isinstance(entry.get("file"), str):
        wrong.append("file: must be given: the trace, relative to this file")
    for name in sorted({*names, *entry} - {"file"}):
        if name not in entry or name not in names:
            wrong.append(f"{name}: must be in all traces or in none {suggestion(name, names)}")
        elif not isinstance(entry[name], Scalar):
            wrong.append(f"{name}: {shown(entry[name])}: must be one value")
        elif "." in name:
            wrong.append(f"{name}: must have no dot, as paths of the machine have")
    for text in wrong:
        document.report(document.place(location), f"{dotted(location)}.{text}")
    return not wrong


def _check_product(
    document: Document, axes: dict[str, Parameter], files: dict[tuple[str, ...], Path]
) -> None:
    """Every value of a parameter meets every value of the others, or a point would lack a trace."""
    texts = [[json.dumps(value) for value in axis.values() or ()] for axis in axes.values()]
    for key in itertools.product(*texts):
        if key not in files:
            facts = ", ".join(f"{name}: {text}" for name, text in zip(axes, key, strict=True))
            text = f"traces: {facts}: must be there, as each value meets all others"
            document.report(document.place(("traces",)), text)


def _hashes(document: Document, written: SpaceFile, files: Any) -> dict[str, str]:
    hashes = {}
    for number, file in enumerate(files):
        try:
            hashes[str(file)] = _opened(file, written)
        except SimulatorError as error:
            text = f"traces.{number}: {str(error).splitlines()[0]}"
            document.report(document.place(("traces", number)), text)
    return hashes


def _opened(path: Path, written: SpaceFile) -> str:
    """The content hash of a trace that opens, and that has an accuracy if one is asked for."""
    with Trace.open(path) as trace:
        image_range(written.images, trace.images, "images:")
        if ACCURACY in {*written.objectives, *written.constraints}:
            accuracy_of(trace.manifest["weights"], str(path))
        return trace.content_hash
