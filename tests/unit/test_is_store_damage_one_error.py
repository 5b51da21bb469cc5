"""Whatever happens to a store: one TraceError, or what it held before, and no memory taken."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import struct
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.old_stores import StoredTrace
from simulator.errors import TraceError
from tests.factories import tiny_content
from tests.messages import rows, said
from tests.old_stores import write_store

TINY = {"tokens": 3, "channels": 5, "blocks": 1, "heads": 1, "mlp_ratio": 1}
SHARD = "spikes/sps.image/c/0/0/0/0/0"


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sound") / "x.zarr"
    return write_store(path, tiny_content(images=40, **TINY))


@pytest.fixture
def store(sound: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sound, tmp_path / "x.zarr"))


def in_json(name: str, *keys: Any, value: Any) -> Callable[[Path], None]:
    """Puts a value at a place of a zarr.json."""

    def damage(store: Path) -> None:
        file = store / name / "zarr.json"
        data = json.loads(file.read_text())
        target = data
        for key in keys[:-1]:
            target = target[key]
        target[keys[-1]] = value
        file.write_text(json.dumps(data))

    return damage


def indexed(start: int, length: int) -> Callable[[Path], None]:
    """Lets a shard's index point its first chunk elsewhere."""

    def damage(store: Path) -> None:
        file = store / SHARD
        data = file.read_bytes()
        file.write_bytes(data[:-20] + struct.pack("<2Q", start, length) + data[-4:])

    return damage


def with_bomb(store: Path) -> None:
    """A first chunk of few bytes that inflates to many."""
    bomb = gzip.compress(bytes(1 << 20))
    (store / SHARD).write_bytes(bomb + struct.pack("<2Q", 0, len(bomb)) + bytes(4))


def cut_off(name: str, size: int) -> Callable[[Path], None]:
    return lambda store: os.truncate(store / name, size)


def removed(name: str) -> Callable[[Path], None]:
    def damage(store: Path) -> None:
        target = store / name
        shutil.rmtree(target) if target.is_dir() else target.unlink()

    return damage


def written(name: str, data: bytes) -> Callable[[Path], None]:
    def damage(store: Path) -> None:
        (store / name).parent.mkdir(exist_ok=True)
        (store / name).write_bytes(data)

    return damage


def piped(store: Path) -> None:
    (store / SHARD).unlink()
    os.mkfifo(store / SHARD)


MESSAGES = rows("broken_store")
DAMAGE: dict[str, Callable[[Path], None]] = {
    "no zarr.json": removed("zarr.json"),
    "future version": in_json("", "attributes", "stasim", "schema", value="stasim-trace/9"),
    "foreign zarr": in_json("", "attributes", value={}),
    "chunks of nothing": in_json("", "attributes", "stasim", "chunk_images", value=0),
    "chunks of millions": in_json(
        "",
        "attributes",
        "stasim",
        value={"schema": "stasim-trace/1", "shard_images": 65536, "chunk_images": 65536},
    ),
    "attributes no JSON": written("zarr.json", b"{"),
    "attributes no UTF-8": written("zarr.json", b"\xff"),
    "attributes deep": written("zarr.json", b"[" * 60000),
    "attributes huge": written("zarr.json", b" " * 70000),
    "no manifest": removed("manifest"),
    "manifest of terabytes": lambda store: os.truncate(store / "manifest/c/0", 10**12),
    "manifest a bomb": written("manifest/c/0", gzip.compress(bytes(9 << 20))),
    "manifest cut off": cut_off("manifest/c/0", 100),
    "array lost": removed("spikes/sps.image"),
    "shard lost": removed(SHARD),
    "shard cut off": cut_off(SHARD, 300),
    "shard empty": cut_off(SHARD, 0),
    "shard a pipe": piped,
    "index beyond the file": indexed(10**9, 100),
    "index of an absent chunk": indexed(2**64 - 1, 2**64 - 1),
    "index far beyond": indexed(2**64 - 1, 100),
    "chunk of gigabytes": indexed(0, 10**10),
    "bomb": with_bomb,
}
# Of what nothing depends on: the manifest and its hashes bind all that is read.
HARMLESS: dict[str, Callable[[Path], None]] = {
    "array too many": written("spikes/more/zarr.json", b"{}"),
    "file too many": written("notes.txt", b"x"),
    "other shape": in_json("labels", "shape", value=[10**12]),
    "metadata no JSON": written("labels/zarr.json", b"{"),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_each_damage_is_one_message(case: str, store: Path) -> None:
    DAMAGE[case](store)
    tracemalloc.start()
    try:
        with pytest.raises(TraceError) as error, StoredTrace.open(store) as trace:
            trace.verify()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert str(error.value).startswith(f"{store}: ")
    assert MESSAGES[case][0] in str(error.value)
    assert "\n" not in str(error.value)
    assert peak < 24 << 20


@pytest.mark.parametrize("damage", HARMLESS.values(), ids=HARMLESS.keys())
def test_what_is_not_read_does_no_harm(
    damage: Callable[[Path], None], store: Path, sound: Path
) -> None:
    wanted = seen(sound)
    damage(store)
    assert seen(store) == wanted


@settings(max_examples=150)
@given(data=st.data())
def test_is_a_flipped_bit_refused_or_harmless(data: st.DataObject, sound: Path) -> None:
    """A flip in what means nothing (a checksum of the index, a date in a gzip header) may pass."""
    files = sorted(file for file in sound.rglob("*") if file.is_file())
    file = data.draw(st.sampled_from(files))
    intact = file.read_bytes()
    position = data.draw(st.integers(0, 8 * len(intact) - 1))
    damaged = bytearray(intact)
    damaged[position // 8] ^= 1 << position % 8
    wanted = seen(sound)
    try:
        file.write_bytes(damaged)
        found = seen(sound)
    finally:
        file.write_bytes(intact)
    assert found == wanted or str(found).startswith(f"{sound}: ")


def seen(path: Path) -> Any:
    """The manifest, which binds all data, if they are as it says; else the one message."""
    try:
        with StoredTrace.open(path) as trace:
            trace.verify()
            return trace.manifest
    except TraceError as error:
        return str(error)


def test_no_chunk_is_larger_than_the_limit(sound: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("experiments.old_stores.CHUNK_LIMIT_BYTES", 1000)
    with pytest.raises(TraceError, match=said("a chunk beyond the limit")):
        StoredTrace.open(sound)
