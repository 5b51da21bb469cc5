"""Whatever an architecture file says, it is loaded or refused: nothing else ever comes out."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from simulator.architecture import Architecture, load_architecture
from simulator.errors import ArchitectureError
from tests.tiny_machine import TINY_MACHINE, define_parts

# The registry of the fixture is filled once and read only.
same_registry = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])

SNIPPETS = (
    *("\t", "  ", "\n", ":", "- ", "? ", "[", "]", "{", "}", "&a ", "*a", "!!int ", "!x ", "|"),
    *(">", "'", '"', "#", "%YAML 9.9\n", "---\n", "...\n", "<<: ", "\\x", "\ufeff", "\u2028"),
    *("\x85", "é", "0x", "1e9", ".inf", "null", "kind", "@", "`", "\0", "\\uD800"),
)

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["walker", "plain", "kind", "any_order", "stasim-architecture/1"])
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.text(max_size=5) | st.sampled_from(["kind", "rows"]), inner, max_size=3
        )
    ),
    max_leaves=6,
)


@pytest.fixture(autouse=True)
def parts(empty_registry: None) -> None:
    define_parts()


def load(content: bytes, *overrides: str) -> Architecture | None:
    """The architecture, or None where the loader refused with a message of whole lines."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "some.yaml"
        path.write_bytes(content)
        try:
            architecture = load_architecture(path, overrides)
        except ArchitectureError as error:
            lines = str(error).splitlines()
            assert lines
            assert all(line.startswith((f"{path}:", "override ")) for line in lines)
            str(error).encode()
            return None
    assert architecture.content_hash.startswith("sha256:")
    return architecture


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of all values inside a value."""
    items: Any = ()
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    return [path] + [inner for key, item in items for inner in places(item, (*path, key))]


@same_registry
@given(st.data())
def test_after_any_change_of_a_value(data: st.DataObject) -> None:
    machine = yaml.safe_load(TINY_MACHINE)
    for _ in range(data.draw(st.integers(1, 3))):
        inside = [path for path in places(machine) if path]
        if not inside:
            break
        *path, last = data.draw(st.sampled_from(inside))
        target = machine
        for step in path:
            target = target[step]
        if data.draw(st.booleans()):
            target[last] = data.draw(values)
        else:
            del target[last]
    load(yaml.safe_dump(machine, allow_unicode=True).encode("utf-8", "surrogatepass"))


@same_registry
@given(st.data())
def test_after_any_change_of_the_text(data: st.DataObject) -> None:
    text = TINY_MACHINE
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(text)))
        stop = start + data.draw(st.integers(0, 6))
        text = (
            text[:start] + data.draw(st.sampled_from(SNIPPETS) | st.text(max_size=3)) + text[stop:]
        )
    load(text.encode("utf-8", "surrogatepass"))


@same_registry
@given(st.binary(max_size=60))
def test_for_any_bytes(content: bytes) -> None:
    assert load(content) is None


@same_registry
@given(
    st.text(max_size=12)
    | st.builds(
        lambda path, value: f"{'.'.join(map(str, path))}={value}",
        st.sampled_from([path for path in places(yaml.safe_load(TINY_MACHINE)) if path]),
        st.sampled_from(SNIPPETS) | st.text(max_size=6),
    )
)
def test_for_any_override(override: str) -> None:
    load(TINY_MACHINE.encode(), override)
