"""Parts register by their class statement; what breaks a rule fails there, by name."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path
from types import new_class
from typing import ClassVar

import pytest
from pydantic import Field, ValidationError

from simulator.components import base
from simulator.components.base import Component, build, registry
from simulator.components.memories.base import Memory
from simulator.components.pe_arrays.base import PEArray
from simulator.errors import ArchitectureError
from tests.messages import cases, said


def one(name: str, slot: type[Component] = PEArray, **changed: object) -> type[Component]:
    """A part by a class statement; `changed`: what its body says, None for nothing."""
    body = {"__doc__": "Models.", "example": f"kind: {name}", "__module__": __name__} | changed
    said_there = {key: value for key, value in body.items() if value is not None}
    keywords = {"kind": name} if name else {}
    return new_class(name.title() or "Part", (slot,), keywords, lambda s: s.update(said_there))


def test_a_part_is_found_by_slot_and_kind(empty_registry: None) -> None:
    beta, alpha, store = one("beta"), one("alpha"), one("alpha", Memory)
    assert list(registry("pe_arrays").items()) == [("alpha", alpha), ("beta", beta)]
    assert registry("memories") == {"alpha": store}
    assert isinstance(build("pe_arrays", {"kind": "alpha"}), alpha)


def test_a_part_knows_its_slot_and_kind(empty_registry: None) -> None:
    part = one("alpha")
    assert (part.slot, part.kind) == ("pe_arrays", "alpha")
    assert part().actions() == {}
    assert part().leakage() == ()


def test_building_an_unknown_kind_names_the_known(empty_registry: None) -> None:
    one("alpha")
    with pytest.raises(ValidationError, match=said("a kind almost right")):
        build("pe_arrays", {"kind": "alfa"})


def test_a_part_refuses_another_kind(empty_registry: None) -> None:
    with pytest.raises(ValidationError, match=said("another kind")):
        one("alpha").model_validate({"kind": "beta"})


def test_a_shared_base_is_no_part(empty_registry: None) -> None:
    class Tiled(PEArray, base=True):
        """What tiled arrays share."""

        rows: int = Field(default=1, description="rows")

    class Walker(Tiled, kind="walker"):
        """Walks."""

        example: ClassVar[str] = "kind: walker"

    other = one("other")
    assert registry("pe_arrays") == {"other": other, "walker": Walker}
    assert isinstance(Tiled.model_validate({"kind": "walker", "rows": 2}), Walker)
    with pytest.raises(ValidationError, match=said("a kind that is not of this base")):
        Tiled.model_validate({"kind": "other"})


STATEMENTS: dict[str, Callable[[], object]] = {
    "without kind": lambda: one(""),
    "without docstring": lambda: one("part", __doc__=None),
    "without example": lambda: one("part", example=None),
    "without description": lambda: one("part", rows=1, __annotations__={"rows": "int"}),
    "without slot": lambda: one("part", Component),
    "twice": lambda: (one("alpha"), one("alpha", __qualname__="Other")),
    "kind of two words": lambda: one("no kind"),
}


@cases("broken_part")
def test_a_class_statement_that_breaks_a_rule_fails(
    empty_registry: None, statement: str, rule: str
) -> None:
    with pytest.raises(TypeError, match=rule):
        STATEMENTS[statement]()


def test_a_reloaded_module_replaces_its_part(empty_registry: None) -> None:
    one("alpha")
    again = one("alpha")
    assert registry("pe_arrays") == {"alpha": again}


@pytest.fixture
def foreign(
    empty_registry: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[[str], None]:
    """Installs a package with the given source that offers an entry point."""
    monkeypatch.setattr(base, "_discovered", False)
    monkeypatch.setattr(base, "_import_own_parts", lambda: None)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "foreign_parts", raising=False)

    def install(source: str) -> None:
        (tmp_path / "foreign_parts.py").write_text(source)
        entry = EntryPoint("mine", "foreign_parts", base.ENTRY_POINT_GROUP)
        monkeypatch.setattr(base, "entry_points", lambda *, group: [entry])

    return install


GOOD_PART = '''
from simulator.components.pe_arrays.base import PEArray
class Mine(PEArray, kind="mine"):
    """Mine."""
    example = "kind: mine"
'''


def test_an_installed_package_brings_its_parts(foreign: Callable[[str], None]) -> None:
    foreign(GOOD_PART.replace("example =", "example: __import__('typing').ClassVar[str] ="))
    assert list(registry("pe_arrays")) == ["mine"]


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("import absent_package", "ModuleNotFoundError: No module named 'absent_package'"),
        ("def broken(:", "SyntaxError: "),
        (GOOD_PART.replace('kind="mine"', "kind='?'"), "TypeError: foreign_parts.Mine: a part na"),
    ],
)
def test_a_broken_package_is_named(
    foreign: Callable[[str], None], source: str, reason: str
) -> None:
    foreign(source)
    with pytest.raises(ArchitectureError) as caught:
        registry("pe_arrays")
    assert str(caught.value).startswith(
        "package unknown: entry point 'mine = foreign_parts' of group stasim.components: "
        f"cannot be loaded: {reason}"
    )
