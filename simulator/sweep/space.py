"""A space of designs, read from a YAML file: what is varied, what is asked for, how to search.

    space = load_space("spaces/small.yaml", trace="traces/mnist.npz")

Every problem of a file is reported at once, one a line, as those of an architecture file are.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from simulator.architecture import load_architecture
from simulator.config.explain import report_errors
from simulator.config.located_yaml import Document, Location, dotted, read_document
from simulator.config.shipped import MACHINES, SPACES, TRACES, file_of
from simulator.config.wording import shown, suggestion
from simulator.errors import ArchitectureError, SimulatorError, SpaceError
from simulator.sweep.metrics import ACCURACY, accuracy_of
from simulator.sweep.space_file import MOST_POINTS, Parameter, SpaceFile
from simulator.trace import Trace, image_range

Scalar = bool | int | float | str | None


class Traces(NamedTuple):
    """Hold the model's parameters, files by their values as JSON, and hashes by file."""

    axes: dict[str, Parameter]
    files: dict[tuple[str, ...], Path]
    hashes: dict[str, str]


def read_traces(document: Document, written: SpaceFile, trace: str | Path | None) -> Traces:
    """Return the traces that a file lists, or the one given; report problems to the document.

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


Point = dict[str, Any]
"""A value for every parameter, in the order of the file."""


class Space(NamedTuple):
    """Hold a checked space: its file, the machine that it starts from, and its traces."""

    file: SpaceFile
    path: Path
    base: Path
    traces: Traces

    @property
    def parameters(self) -> dict[str, Parameter]:
        """Return what is varied of the machine, by path."""
        return self.file.parameters

    @property
    def axes(self) -> dict[str, Parameter]:
        """Return all that is varied, the model's parameters first."""
        return self.traces.axes | self.parameters

    def trace_of(self, point: Point) -> Path:
        """Return the trace that a point is simulated on."""
        return self.traces.files[tuple(_text(point[name]) for name in self.traces.axes)]

    def overrides(self, point: Point) -> tuple[str, ...]:
        """Return the point as --set takes it."""
        return tuple(override(name, point[name]) for name in self.parameters)

    def grid(self) -> Iterator[Point]:
        """Yield every point, the last parameter fastest."""
        axes = self.axes
        for values in itertools.product(*(axes[name].values() or () for name in axes)):
            yield dict(zip(axes, values, strict=True))

    @property
    def content_hash(self) -> str:
        """Return the hash of all that decides which points there are and what comes of each.

        Not of how many are asked for: a search can go on with more.
        """
        facts = {
            "space": self.file.model_dump(
                mode="json", by_alias=True, exclude={"name": True, "search": {"points"}}
            ),
            "base": load_architecture(self.base).content_hash,
            "traces": sorted(self.traces.hashes.values()),
        }
        text = json.dumps(facts, sort_keys=True)
        return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def override(name: str, value: Any) -> str:
    """Return a value of the machine as --set takes it; JSON is YAML."""
    return f"{name}={_text(value)}"


def point_key(point: Point) -> str:
    """Return one spelling of a point."""
    return json.dumps(point, sort_keys=True)


def load_space(given: str | Path | Mapping[str, Any], trace: str | Path | None = None) -> Space:
    """Read and check a space; `trace` where it lists none. SpaceError tells all problems.

    `given`: a file, the name of a shipped space, or what a file would hold.
    """
    if isinstance(given, Mapping):
        document = Document(Path("space"))
        document.data = dict(given)
    else:
        document = read_document(file_of(given, SPACES, "space", SpaceError))
    written = _validate(document)
    if written is None or document.problems:
        raise SpaceError(document.message())
    folder = document.path.parent
    base = folder / written.base
    if not base.suffix and not base.exists():
        base = file_of(written.base, MACHINES, "machine", SpaceError)
    _check_parameters(document, written, base)
    if trace is not None:
        trace = file_of(trace, TRACES, "trace", SpaceError)
    traces = read_traces(document, written, trace)
    space = Space(written, document.path, base, traces)
    _check_search(document, space)
    if document.problems:
        raise SpaceError(document.message())
    return space


def _validate(document: Document) -> SpaceFile | None:
    if document.data is None and document.problems:
        return None
    try:
        return SpaceFile.model_validate(document.data)
    except ValidationError as error:
        report_errors(document, error, SpaceFile)
        return None


def _check_parameters(document: Document, written: SpaceFile, base: Path) -> None:
    """The base is a machine, and of each parameter at least one value makes one of it."""
    try:
        load_architecture(base)
    except ArchitectureError as error:
        place = document.place(("base",))
        document.report(place, f"base: {shown(written.base)}: {str(error).splitlines()[0]}")
        return
    for name, parameter in written.parameters.items():
        tried = parameter.values() or (parameter.low, parameter.high)
        said = ""
        for value in (*tried[:8], *tried[-8:]):
            try:
                load_architecture(base, [override(name, value)])
                break
            except ArchitectureError as error:
                # Without the words that name the override: the line of this file says more.
                said = said or str(error).splitlines()[0].partition(": ")[2]
        else:
            location: Location = ("parameters", name)
            document.report(document.place(location), f"parameters.{name}: {said}", location)


def _check_search(document: Document, space: Space) -> None:
    """A grid is finite; there is something to vary."""
    place = document.place(("parameters",))
    if not space.axes and not document.problems:
        document.report(place, "parameters: must name something to vary")
    if space.file.search.strategy != "grid":
        return
    points = 1
    for name, parameter in space.axes.items():
        values = parameter.values()
        if values is None:
            rule = "must have choices or a step for a grid"
            document.report(document.place(("parameters", name)), f"parameters.{name}: {rule}")
        points *= len(values or (None,))
    if points > MOST_POINTS:
        rule = f"must be at most {MOST_POINTS}; draw some with strategy: random"
        document.report(place, f"parameters: a grid of {points} points: {rule}")


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)
