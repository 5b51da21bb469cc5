"""A trace declares the role of each stage of its operations; version 1 implies them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from simulator.errors import TraceError
from simulator.trace import Trace
from simulator.trace_format.manifest import check_manifest
from simulator.trace_format.schema import ROLES
from simulator.trace_format.specs import content_hash, implied_stages
from tests.broken_traces import Unzipped
from tests.factories import first_trace, tiny_content, tiny_trace
from tests.messages import cases, said


def renamed(path: Path, names: dict[str, str], roles: dict[str, str]) -> Unzipped:
    """A trace whose stages have other names, and these roles."""
    unzipped = Unzipped.load(path)
    for operation in unzipped.manifest["operations"]:
        operation["stage"] = names.get(operation["stage"], operation["stage"])
    unzipped.manifest["stages"] = roles
    return unzipped.seal_manifest()


@pytest.mark.parametrize("halting", ["none", "two_dimensional"])
def test_does_version_1_imply_what_version_2_declares(halting: str, tmp_path: Path) -> None:
    wanted = {"sps": "stem", "blocks": "blocks", "head": "head"}
    if halting != "none":
        wanted["halting"] = "halting"
    for write in (tiny_trace, first_trace):
        with Trace.open(write(tmp_path / "x.npz", halting=halting)) as trace:
            assert trace.layout.stages == wanted
            assert {each.role for each in trace.operations} == set(wanted.values())
            assert ("stages" in trace.manifest) == (write is tiny_trace)


def test_are_operations_without_blocks_plain_layers(tmp_path: Path) -> None:
    manifest = tiny_content(halting="none").manifest
    for operation in manifest["operations"]:
        if operation["stage"] == "blocks":
            operation["stage"] = "sps"
    assert implied_stages(manifest) == {"sps": "layers", "head": "head"}
    manifest["model"]["halting"]["granularity"] = "block"
    assert implied_stages(manifest) == {"sps": "stem", "head": "head"}


def test_are_names_of_stages_free(tmp_path: Path) -> None:
    names = {"sps": "patches", "blocks": "encoder", "halting": "exit", "head": "classifier"}
    roles = dict(zip(names.values(), ("stem", "blocks", "halting", "head"), strict=True))
    path = tiny_trace(tmp_path / "x.npz")
    with Trace.open(path) as trace:
        before = [each.role for each in trace.operations]
    with Trace.open(renamed(path, names, roles).save(path)) as trace:
        trace.verify()
        assert trace.layout.stages == roles
        assert [each.role for each in trace.operations] == before
        assert {each.stage for each in trace.operations} == set(roles)


def test_does_the_content_hash_bind_declared_stages(tmp_path: Path) -> None:
    manifest: dict[str, Any] = Unzipped.load(tiny_trace(tmp_path / "x.npz")).manifest
    implied = content_hash(manifest)
    assert content_hash({**manifest, "schema": "stasim-trace/1"}) == implied
    without = {key: value for key, value in manifest.items() if key != "stages"}
    assert content_hash(without) == implied
    other = manifest["stages"] | {"sps": "blocks"}
    assert content_hash({**manifest, "stages": other}) != implied


@cases("broken_stages")
def test_does_each_broken_declaration_say_what_is_wrong(
    stages: Any, words: str, tmp_path: Path
) -> None:
    manifest = Unzipped.load(tiny_trace(tmp_path / "x.npz")).manifest
    del manifest["stages"]
    if stages is not None:
        manifest["stages"] = stages
    with pytest.raises(TraceError) as caught:
        check_manifest(manifest, "x: manifest")
    assert words in str(caught.value)


def test_has_version_1_no_stages(tmp_path: Path) -> None:
    unzipped = Unzipped.load(first_trace(tmp_path / "x.npz"))
    unzipped.manifest["stages"] = {"sps": "stem"}
    with pytest.raises(TraceError, match=said("stages in version 1")):
        check_manifest(unzipped.seal_manifest().manifest, "x: manifest")


def test_is_every_role_described() -> None:
    assert all(text[0].islower() and not text.endswith(".") for text in ROLES.values())
