"""A trace appears whole, with the same bytes for the same content, or it does not appear."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from simulator.errors import TraceError
from simulator.trace import Image, Trace, TraceWriter
from tests.factories import Content, tiny_content, tiny_trace
from tests.messages import refused, rows, said

Q = "blocks.0.attn.q"

OLD = b"PK manifest.npy of an earlier trace"


@pytest.fixture
def content() -> Content:
    return tiny_content()


def add(writer: TraceWriter, image: Image) -> None:
    writer.add(image.tensors, image.active, image.label, image.prediction)


def message_of(path: Path, content: Content) -> str:
    """The message of the one error of writing, after which nothing is there."""
    with pytest.raises(TraceError) as caught:
        content.write(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert list(path.parent.iterdir()) == []
    return message


def test_does_the_same_content_give_the_same_bytes(tmp_path: Path) -> None:
    paths = [tiny_trace(tmp_path / name) for name in ("a.npz", "b.npz")]
    hashes = [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]
    assert hashes[0] == hashes[1]
    assert sorted(tmp_path.iterdir()) == paths


def test_do_neither_the_order_of_keys_nor_the_layout_in_memory_matter(
    content: Content, tmp_path: Path
) -> None:
    def turned(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: turned(value[key]) for key in reversed(value)}
        return [turned(item) for item in value] if isinstance(value, list) else value

    images = [
        image._replace(
            tensors={k: np.asfortranarray(v) for k, v in reversed(image.tensors.items())},
            active={k: np.asfortranarray(v) for k, v in reversed(image.active.items())},
        )
        for image in content.images
    ]
    path = content.write(tmp_path / "a.npz")
    other = Content(turned(content.manifest), images).write(tmp_path / "b.npz")
    assert path.read_bytes() == other.read_bytes()


def test_can_a_trace_be_copied_with_its_own_manifest(tmp_path: Path) -> None:
    """Counts and hashes that the manifest brings along are computed anew."""
    path = tiny_trace(tmp_path / "a.npz")
    with Trace.open(path) as trace:
        trace.manifest["tensors"][0]["ones"] = 7
        other = Content(trace.manifest, list(trace)).write(tmp_path / "b.npz")
    assert path.read_bytes() == other.read_bytes()


def test_is_the_manifest_given_left_as_it_was(content: Content, tmp_path: Path) -> None:
    before = tiny_content().manifest
    content.write(tmp_path / "a.npz")
    assert content.manifest == before


@pytest.mark.parametrize("kind", ["notes", "link to notes", "device", "folder"])
def test_is_nothing_foreign_replaced(kind: str, content: Content, tmp_path: Path) -> None:
    """Before the first image is captured, not after the last."""
    path, notes = tmp_path / "a.npz", tmp_path / "notes"
    notes.write_text("mine")
    if kind == "folder":
        path.mkdir()
    else:
        path.symlink_to("/dev/null" if kind == "device" else notes)
    if kind == "notes":
        path.unlink()
        notes.rename(path)
    before = sorted(tmp_path.iterdir())
    with (
        pytest.raises(TraceError, match=said("a trace over something foreign")),
        TraceWriter(path, content.manifest),
    ):
        raise AssertionError("nothing is captured for a target that is refused")
    assert sorted(tmp_path.iterdir()) == before


def test_does_a_link_stay_and_its_target_change(content: Content, tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "a.npz").symlink_to(tmp_path / "disk" / "a.npz")
    for _ in range(2):
        content.write(tmp_path / "a.npz")
    assert (tmp_path / "a.npz").is_symlink()
    assert [each.name for each in (tmp_path / "disk").iterdir()] == ["a.npz"]


def test_is_what_a_killed_writer_left_removed(content: Content, tmp_path: Path) -> None:
    left = tmp_path / ".a.npz.00000000.part"
    left.mkdir()
    (left / "records").write_bytes(b"half")
    content.write(tmp_path / "a.npz")
    assert [each.name for each in tmp_path.iterdir()] == ["a.npz"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_does_an_error_inside_leave_the_old_file(
    error: type[BaseException], content: Content, tmp_path: Path
) -> None:
    path = tmp_path / "a.npz"
    path.write_bytes(OLD)

    def write() -> None:
        with TraceWriter(path, content.manifest) as writer:
            add(writer, content.images[0])
            raise error

    with pytest.raises(error):
        write()
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_bytes() == OLD


@pytest.mark.parametrize("call", ["replace", "fsync"])
def test_does_a_full_disk_leave_the_old_file(
    call: str, content: Content, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    path = tmp_path / "a.npz"
    path.write_bytes(OLD)
    monkeypatch.setattr(os, call, full)
    with refused(TraceError, path, "file", os.strerror(errno.ENOSPC)):
        content.write(path)
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_bytes() == OLD


def test_is_an_image_lost_on_the_way_noticed(content: Content, tmp_path: Path) -> None:
    """Even if a caller goes on after an error, what was spooled has to be whole."""

    def write() -> None:
        with TraceWriter(tmp_path / "a.npz", content.manifest) as writer:
            for image in content.images:
                add(writer, image)
            spooled = next(tmp_path.glob(".a.npz.*/records"))
            spooled.write_bytes(spooled.read_bytes()[:-1])

    with pytest.raises(TraceError, match=said("spooled bytes that were lost")):
        write()
    assert list(tmp_path.iterdir()) == []


def test_does_a_missing_folder_give_one_error(content: Content, tmp_path: Path) -> None:
    path = tmp_path / "nowhere" / "a.npz"
    with refused(TraceError, path, "spool", os.strerror(errno.ENOENT)):
        content.write(path)


@pytest.mark.parametrize("added", [0, 1])
def test_are_too_few_images_refused(added: int, content: Content, tmp_path: Path) -> None:
    message = message_of(tmp_path / "a.npz", content._replace(images=content.images[:added]))
    assert f": {added} {said('too few images')}" in message


def test_are_too_many_images_refused(content: Content, tmp_path: Path) -> None:
    message = message_of(tmp_path / "a.npz", content._replace(images=content.images * 2))
    assert said("an image too many") in message


def changed(name: str, change: Callable[[Any], Any]) -> Callable[[Image], Image]:
    """Another array in an image's place."""

    def apply(image: Image) -> Image:
        tensors, active = dict(image.tensors), dict(image.active)
        arrays: dict[str, Any] = tensors if name in tensors else active
        arrays[name] = change(arrays[name].copy())
        return image._replace(tensors=tensors, active=active)

    return apply


def without(name: str) -> Callable[[Image], Image]:
    return lambda image: image._replace(
        tensors={key: value for key, value in image.tensors.items() if key != name},
        active={key: value for key, value in image.active.items() if key != name},
    )


def with_extra(image: Image) -> Image:
    return image._replace(tensors={**image.tensors, "blocks.0.attn.qq": image.tensors[Q]})


def with_a_bit_too_many(packed: Any) -> Any:
    packed[0, 7, 0, 0] |= 1 << 3
    return packed


WORDS = rows("broken_image")
DATA: dict[str, Callable[[Image], Image]] = {
    "dtype": changed(Q, lambda a: a.astype(np.int8)),
    "shape": changed(Q, lambda a: a[:, 0]),
    "no array": changed(Q, lambda a: a.tolist()),
    "mask dtype": changed("1", lambda a: a.astype(np.uint8)),
    "mask shape": changed("1", lambda a: a[:1]),
    "mask missing": without("0"),
    "tensor missing": without(Q),
    "tensor extra": with_extra,
    "halted row": changed(Q, lambda a: a | 1),
    "unused bit": changed("sps.image", with_a_bit_too_many),
    "mask": changed("0", lambda a: a[::-1]),
    "label": lambda image: image._replace(label=10),
    "prediction": lambda image: image._replace(prediction=-2),
}


@pytest.mark.parametrize("case", DATA)
def test_are_data_that_break_a_rule_refused_at_once(case: str, tmp_path: Path) -> None:
    content = tiny_content(seed=3)
    message = message_of(
        tmp_path / "a.npz",
        content._replace(images=[content.images[0], DATA[case](content.images[1])]),
    )
    assert "image 1: " in message
    assert WORDS[case][0] in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"schema": "stasim-trace/3"}, "this program reads 'stasim-trace/1' and 'stasim-trace/2'"),
        ({"created_by": {"numpy": object()}}, "manifest: Object of type object is not JSON"),
        ({"model": {"tau": float("nan")}}, "NaN is not a finite number"),
        ({"tensors": None}, "tensors = null: must be a list of at least one"),
    ],
)
def test_is_a_manifest_that_breaks_a_rule_refused_before_anything_is_written(
    change: dict[str, Any], words: str, content: Content, tmp_path: Path
) -> None:
    with pytest.raises(TraceError) as caught:
        TraceWriter(tmp_path / "a.npz", {**content.manifest, **change})
    assert words in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_are_more_images_than_a_manifest_can_hash_refused(content: Content, tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    content.manifest["dataset"]["images"] = 10**12
    with refused(TraceError, f"{path}: manifest", "dataset.images = 1000000000000", rule="131072"):
        TraceWriter(tmp_path / "a.npz", content.manifest)


def test_does_adding_outside_the_context_say_so(content: Content, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=said("images added outside the context")):
        add(TraceWriter(tmp_path / "a.npz", content.manifest), content.images[0])
