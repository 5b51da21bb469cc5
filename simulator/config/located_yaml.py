"""YAML files that remember where each value is, for messages with file and line.

Mappings have text keys, each once. Nothing here raises on bad input: what is wrong is listed in the
document's problems.
"""

from __future__ import annotations

import copy
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from simulator.config.read_back import read_bytes
from simulator.config.wording import one_line, shown, suggestion
from simulator.config.yaml_dialect import SCALARS, TAG, Composer, syntax_fault
from simulator.errors import SimulatorError

LARGEST_FILE_BYTES = 1 << 20
MOST_PROBLEMS = 100

Location = tuple[str | int, ...]
"""The keys and list positions that lead to a value."""


class Place(NamedTuple):
    """Say where a value was written: `line` orders the problems, `text` names the place."""

    line: int
    text: str


class Problem(NamedTuple):
    """Hold one broken rule: where, and in the words the user reads after the place.

    `location` names the value that is unusable; of it nothing more need be said.
    """

    place: Place
    text: str
    location: Location | None = None


class Document:
    """Hold a file's data, the place of each of its values, and what is wrong with it so far.

    `data` is made of dict, list, str, int, float, bool and None; None also when it is unreadable.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.data: Any = None
        self.places: dict[Location, Place] = {}
        self.problems: list[Problem] = []
        self.overrides = 0

    def at_line(self, line: int) -> Place:
        return Place(line, f"{self.path}:{line}")

    def place(self, location: Location) -> Place:
        """Return the place of a value, or of the innermost thing around it that has one."""
        for length in range(len(location), -1, -1):
            if location[:length] in self.places:
                return self.places[location[:length]]
        return self.at_line(1)

    def report(self, place: Place, text: str, location: Location | None = None) -> None:
        self.problems.append(Problem(place, text, location))

    def message(self) -> str:
        """Return all problems, one a line, in the order of the file."""
        ordered = sorted(self.problems, key=lambda problem: problem.place.line)
        lines = [f"{problem.place.text}: {problem.text}" for problem in ordered[:MOST_PROBLEMS]]
        if len(ordered) > MOST_PROBLEMS:
            lines.append(f"{self.path}: and {len(ordered) - MOST_PROBLEMS} more problems")
        return "\n".join(lines)

    def override(self, assignment: str) -> None:
        """Replace one value: `cores.0.pe_array.rows=8`; the value is YAML, a mapping too."""
        self.overrides += 1
        # After every line of the file, in the order given.
        place = Place(10**9 + self.overrides, f"override {shown(assignment)}")
        path, equals, text = assignment.partition("=")
        steps = path.strip().split(".")
        if not equals or not all(steps):
            self.report(place, "must read path=value, for example cores.0.pe_array.rows=8")
            return
        location: Location = ()
        target = parent = self.data
        for number, step in enumerate(steps, start=1):
            key = self._enter(target, location, step, place, may_be_new=number == len(steps))
            if key is None:
                return
            location = (*location, key)
            parent, target = target, target[key] if number < len(steps) else None
        for known in [known for known in self.places if known[: len(location)] == location]:
            del self.places[known]
        parent[location[-1]] = _read(self, text, place, location)
        self.places[location] = place

    def _enter(
        self, target: Any, location: Location, step: str, place: Place, *, may_be_new: bool
    ) -> str | int | None:
        """The key that `step` names in `target`; None, and a problem, if there is none."""
        path = dotted((*location, step))
        if isinstance(target, dict):
            if step in target or may_be_new:
                return step
            self.report(place, f"{path}: unknown path {suggestion(step, target)}")
        elif isinstance(target, list):
            if step.isdecimal() and step.isascii() and int(step[:9]) < len(target):
                return int(step[:9])
            known = (str(position) for position in range(len(target)))
            self.report(place, f"{path}: unknown path {suggestion(step, known)}")
        else:
            self.report(place, f"{path}: {dotted(location) or 'the file'} has no fields to set")
        return None


def dotted(location: Location) -> str:
    """Return the location as the user writes it: `cores.0.pe_array.rows`."""
    return ".".join(one_line(str(step)) for step in location)


def read_document(path: str | Path) -> Document:
    """Read a file whole; faults of the file system are problems too."""
    document = Document(Path(path))
    text = _read_text(document)
    if text is not None:
        parsed = _parsed(document.path, text)
        document.data = copy.deepcopy(parsed.data)
        document.places, document.problems = dict(parsed.places), list(parsed.problems)
    return document


@lru_cache(maxsize=4)
def _parsed(path: Path, text: str) -> Document:
    """Parse a file; the last ones are kept, as a search reads its base for each of its points."""
    document = Document(path)
    document.data = _read(document, text, None, ())
    if document.data is None and not document.problems:
        document.report(document.at_line(1), "the file is empty")
    return document


def _read_text(document: Document) -> str | None:
    try:
        content = read_bytes(document.path, LARGEST_FILE_BYTES, SimulatorError, "a YAML file")
    except SimulatorError as error:
        _, *fault = error.args
        document.report(Place(0, str(document.path)), ": ".join(fault))
        return None
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        byte = f"byte 0x{content[error.start]:02x}"
        document.report(document.at_line(line), f"{byte}: must be UTF-8 text")
        return None


def _read(document: Document, text: str, fixed: Place | None, root: Location) -> Any:
    """The value of a YAML text; its places are lines of the file, or all `fixed`."""
    line, rule = 0, ""
    try:
        composer = Composer(text)
        try:
            node = composer.get_single_node()
        except (ValueError, OverflowError):
            line, rule = composer.line + 1, "an escape names a character that does not exist"
        finally:
            composer.dispose()
    except yaml.YAMLError as error:
        line, rule = syntax_fault(error, text)
    if rule:
        document.report(fixed or document.at_line(line), rule, root)
        return None
    if node is None:
        return None
    document.places[root] = fixed or document.at_line(1)
    return _Converter(document, fixed).convert(node, root)


class _Converter:
    """Turns nodes into Python values, noting places and problems in the document."""

    def __init__(self, document: Document, fixed: Place | None) -> None:
        self.document = document
        self.fixed = fixed

    def convert(self, node: yaml.Node, location: Location) -> Any:
        if isinstance(node, yaml.MappingNode) and node.tag == TAG + "map":
            return self._mapping(node, location)
        if isinstance(node, yaml.SequenceNode) and node.tag == TAG + "seq":
            return self._sequence(node, location)
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, location)
        self._report(node, location, node.tag, "tags are not used here")
        return None

    def _mapping(self, node: yaml.MappingNode, location: Location) -> dict[str, Any]:
        mapping: dict[str, Any] = {}
        first_line: dict[str, int] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode) or key_node.tag != TAG + "str":
                self._report(key_node, location, _written(key_node), "a field's name must be text")
                continue
            key = self._scalar(key_node, location)
            if key is None:
                continue
            here = (*location, key)
            if key in mapping:
                rule = f"given twice, first on line {first_line[key]}"
                text = f"{dotted(here)}: {one_line(_written(value_node))}: {rule}"
                self.document.report(self._place(key_node), text)
                continue
            first_line[key] = key_node.start_mark.line + 1
            self.document.places[here] = self._place(key_node)
            mapping[key] = self.convert(value_node, here)
        return mapping

    def _sequence(self, node: yaml.SequenceNode, location: Location) -> list[Any]:
        values = []
        for position, value_node in enumerate(node.value):
            here = (*location, position)
            self.document.places[here] = self._place(value_node)
            values.append(self.convert(value_node, here))
        return values

    def _scalar(self, node: yaml.ScalarNode, location: Location) -> Any:
        read = SCALARS.get(node.tag)
        try:
            if read is None:
                raise ValueError("tags are not used here")
            return read(node.value)
        except ValueError as error:
            self._report(node, location, node.value, str(error))
        return None

    def _place(self, node: yaml.Node) -> Place:
        return self.fixed or self.document.at_line(node.start_mark.line + 1)

    def _report(self, node: yaml.Node, location: Location, value: str, rule: str) -> None:
        path = dotted(location) or "the file"
        self.document.report(self._place(node), f"{path}: {one_line(value)}: {rule}", location)


def _written(node: yaml.Node) -> str:
    """What a node says, for messages: its text, or what it is."""
    if isinstance(node, yaml.ScalarNode):
        return str(node.value)
    return "a mapping" if isinstance(node, yaml.MappingNode) else "a list"
