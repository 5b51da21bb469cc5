"""Each way to break a trace file gives one line that names file, place, value and rule."""

from __future__ import annotations

import json
import os
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from simulator.errors import TraceError
from simulator.trace import Trace
from tests.broken_traces import Break, Unzipped, in_members, npy, patch_directory, zipped
from tests.factories import first_trace, tiny_trace
from tests.messages import cases, refused, rows, said

Q = "spikes/blocks.0.attn.q"


def opened_and_verified(path: Path) -> str:
    """The message of the one error that the file gives."""
    with pytest.raises(TraceError) as caught, Trace.open(path) as trace:
        trace.verify()
    return str(caught.value)


def in_bytes(change: Callable[[bytes], bytes]) -> Break:
    return lambda path: path.write_bytes(change(path.read_bytes()))


def in_text(change: Callable[[bytes], bytes]) -> Break:
    """Change the manifest's bytes."""

    def broken(path: Path) -> None:
        unzipped = Unzipped.load(path)
        unzipped.save(path, change(json.dumps(unzipped.manifest).encode()))

    return broken


def in_arrays(change: Callable[[dict[str, Any]], Any]) -> Break:
    """Change the data, with counts and hashes that fit."""

    def broken(path: Path) -> None:
        unzipped = Unzipped.load(path)
        change(unzipped.arrays)
        unzipped.seal().save(path)

    return broken


def in_directory(name: str, offset: int, layout: str, value: int) -> Break:
    return lambda path: patch_directory(path, name, offset, layout, value)


def replaced_by_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def replaced_by_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def with_a_member_twice(path: Path) -> None:
    with warnings.catch_warnings(), zipfile.ZipFile(path, "a") as archive:
        warnings.simplefilter("ignore", UserWarning)  # zipfile's own, about the name
        archive.writestr("labels.npy", archive.read("labels.npy"))


def claiming(name: str, size: int, method: int = zipfile.ZIP_DEFLATED) -> Break:
    return lambda path: zipped(path, Unzipped.load(path).members(), method, {name: size})


def with_a_member_cut(path: Path, name: str) -> None:
    """Its last bytes are gone, its size and its checksum tell nothing of it."""
    members = Unzipped.load(path).members()
    size = len(members[name])
    members[name] = members[name][:-20]
    zipped(path, members, declared={name: size})


def two_axes(manifest: bytes) -> bytes:
    return npy(
        np.frombuffer(manifest[10 + int.from_bytes(manifest[8:10], "little") :], np.uint8)[None]
    )


def with_compressed_bytes_damaged(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        start = archive.getinfo(f"{Q}.npy").header_offset + 30 + len(f"{Q}.npy")
    data = bytearray(path.read_bytes())
    data[start : start + 8] = b"\xff" * 8
    path.write_bytes(data)


def with_counts_changed(path: Path) -> None:
    unzipped = Unzipped.load(path)
    tensor = next(t for t in unzipped.manifest["tensors"] if t["name"] == "blocks.0.attn.q")
    tensor["ones"] = tensor["nonzero"] = 1
    unzipped.seal_manifest().save(path)


def put(name: str, index: tuple[int, ...], value: int) -> Break:
    return in_arrays(lambda arrays: arrays[name].__setitem__(index, value))


def changed(name: str, **lie: Any) -> Break:
    """Give a member another header over the same data."""

    def broken(path: Path) -> None:
        unzipped = Unzipped.load(path)
        members = unzipped.members()
        members[f"{name}.npy"] = npy(unzipped.arrays[name], **lie)
        zipped(path, members)

    return broken


def header(data: bytes, old: bytes, new: bytes) -> bytes:
    assert old in data
    return data.replace(old, new.ljust(len(old)), 1)


# What the one line must hold beside the file's name: place, value, rule.
WORDS = rows("broken_trace")
CASES: dict[str, Break] = {
    "missing file": Path.unlink,
    "folder": replaced_by_folder,
    "named pipe": replaced_by_pipe,
    "empty": in_bytes(lambda data: b""),
    "text": in_bytes(lambda data: b"spikes " * 99),
    "half": in_bytes(lambda data: data[: len(data) // 2]),
    "one byte less": in_bytes(lambda data: data[:-1]),
    "trailing bytes": in_bytes(lambda data: data + b"more"),
    "comment": in_bytes(lambda data: data[:-2] + b"\7\0"),
    "no first half": in_bytes(lambda data: data[len(data) // 2 :]),
    "no member": lambda path: zipped(path, {}),
    "zip of texts": lambda path: zipped(path, {"readme.txt": b"hello"}),
    "member twice": with_a_member_twice,
    "encrypted": in_directory("labels.npy", 8, "<H", 1),
    "bzip2": in_directory("labels.npy", 10, "<H", 12),
    "extra member": in_members(
        lambda members: members.update({"spikes/other.npy": members["labels.npy"]})
    ),
    "absolute name": in_members(lambda members: members.update({"/etc/labels.npy": b""})),
    "name leads out": in_members(lambda members: members.update({"spikes/../../x.npy": b""})),
    "tensor missing": in_members(lambda members: members.pop(f"{Q}.npy")),
    "mask missing": in_members(lambda members: members.pop("active/1.npy")),
    "too good a ratio": claiming(f"{Q}.npy", 10**13),
    "stored, but larger": claiming("labels.npy", 145, zipfile.ZIP_STORED),
    "members overlap": in_directory("labels.npy", 20, "<L", 10**6),
    "manifest too large": in_text(lambda text: b" " * (8 << 20) + text),
    "bytes damaged": with_compressed_bytes_damaged,
    "compressed bytes end early": lambda path: with_a_member_cut(path, f"{Q}.npy"),
    "manifest of two axes": in_members(
        lambda m: m.update({"manifest.npy": two_axes(m["manifest.npy"])})
    ),
    "checksum": in_directory("manifest.npy", 16, "<L", 7),
    "labels of int32": in_members(lambda m: m.update({"labels.npy": npy(np.zeros(2, np.int32))})),
    "pickled objects": changed("labels", descr="|O"),
    "big-endian": changed("labels", descr=">i8"),
    "another shape": changed(Q, shape=(2, 2, 48, 1)),
    "shape of terabytes": changed(Q, shape=(2, 10**12, 16, 3)),
    "too long a member": in_members(lambda m: m.update({f"{Q}.npy": m[f"{Q}.npy"] + b"x"})),
    "too short a member": in_members(lambda m: m.update({f"{Q}.npy": m[f"{Q}.npy"][:-1]})),
    "Fortran order": in_members(
        lambda m: m.update({f"{Q}.npy": header(m[f"{Q}.npy"], b"False,", b"True,")})
    ),
    "npy 2.0": in_members(
        lambda m: m.update({"labels.npy": header(m["labels.npy"], b"\1\0", b"\2\0")})
    ),
    "no npy": in_members(lambda members: members.update({"labels.npy": b"0123456789abcdef"})),
    "code as a header": in_members(
        lambda m: m.update({"labels.npy": header(m["labels.npy"], b"'<i8'", b"f(x)")})
    ),
    "endless header": in_members(
        lambda m: m.update({"labels.npy": b"\x93NUMPY\1\0\xff\xff" + b" " * 99})
    ),
    "no JSON": in_text(lambda text: text[:-9]),
    "no UTF-8": in_text(lambda text: b"\xff" + text),
    "deep": in_text(lambda text: b"[" * 10**5),
    "rather deep": in_text(lambda text: text[:-1] + b', "x": ' + b"[" * 40 + b"]" * 40 + b"}"),
    "a list": in_text(lambda text: b"[1, 2]"),
    "a key twice": in_text(lambda text: text[:-1] + b', "schema": "x"}'),
    "not a number": in_text(lambda text: text.replace(b'"tau": 2.0', b'"tau": NaN', 1)),
    "infinite": in_text(lambda text: text.replace(b'"tau": 2.0', b'"tau": 2e999', 1)),
    "huge integer": in_text(lambda text: text.replace(b'"seed": 0', b'"seed": ' + b"9" * 9999, 1)),
    "future version": in_text(lambda text: text.replace(b"stasim-trace/1", b"stasim-trace/3")),
    "content hash": in_text(lambda text: text.replace(b'"seed": 0', b'"seed": 1', 1)),
    "unused bit set": put("spikes/sps.image", (1, 0, 3, 9, 0), 0x0F),
    "label beyond": put("labels", (1,), 10),
    "prediction below": put("predictions", (0,), -2),
    "ones": with_counts_changed,
}


@pytest.mark.parametrize("case", CASES)
def test_does_a_broken_file_give_one_line_with_file_place_value_and_rule(
    case: str, tmp_path: Path
) -> None:
    path = first_trace(tmp_path / "broken.npz")
    CASES[case](path)
    message = opened_and_verified(path)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    assert [word for word in WORDS[case][0] if word not in message] == [], message


def test_does_data_that_do_not_fit_their_hash_name_image_and_hashes(tmp_path: Path) -> None:
    path = tiny_trace(tmp_path / "broken.npz")
    unzipped = Unzipped.load(path)
    unzipped.arrays[Q][1, 0, 0, 0] ^= 1
    stated = unzipped.manifest["image_sha256"][1]
    message = opened_and_verified(unzipped.save(path))
    found = unzipped.seal().manifest["image_sha256"][1]
    assert message.startswith(f"{path}: image 1: sha256 {found}: must be {stated}, image_sha256[1]")


def test_does_a_spike_in_a_halted_row_name_timestep_and_token(tmp_path: Path) -> None:
    unzipped = Unzipped.load(tiny_trace(tmp_path / "broken.npz"))
    active = np.unpackbits(unzipped.arrays["active/0"], axis=-1, bitorder="little")
    image, step, token = np.argwhere(active == 0)[0]
    unzipped.arrays[Q][image, step, token, 1] = 0b101
    message = opened_and_verified(unzipped.seal().save(tmp_path / "broken.npz"))
    facts = {"image": image, "tensor": Q, "step": step, "token": token}
    assert said("ones of a halted token").format(**facts) in message
    assert said("a halted token that spikes") in message


@cases("mask_that_breaks_its_halting")
def test_does_a_mask_that_breaks_its_halting_name_block_token_and_rule(
    halting: str, found: str, tmp_path: Path
) -> None:
    path = tiny_trace(tmp_path / "broken.npz", halting=halting, timesteps=3, blocks=3)
    unzipped = Unzipped.load(path)
    for block in range(3):
        unzipped.arrays[f"active/{block}"][:] = 0xFF
    unzipped.arrays["active/1"][0, 1, 0] = 0b11110111  # halted in one block, active again after it
    assert found in opened_and_verified(unzipped.seal().save(path))


def test_does_block_halting_start_anew_at_every_timestep(tmp_path: Path) -> None:
    path = tiny_trace(tmp_path / "fine.npz", halting="block", timesteps=2, blocks=2, density=0.0)
    unzipped = Unzipped.load(path)
    for block, step, value in ((0, 0, 0xFF), (1, 0, 0x00), (0, 1, 0x0F), (1, 1, 0x0F)):
        unzipped.arrays[f"active/{block}"][:, step] = value
    with Trace.open(unzipped.seal().save(path)) as trace:
        trace.verify()


def test_does_a_mask_bit_beyond_the_tokens_name_its_byte(tmp_path: Path) -> None:
    path = tiny_trace(tmp_path / "broken.npz", tokens=12)
    unzipped = Unzipped.load(path)
    unzipped.arrays["active/0"][0, 0, 1] |= 0x80
    message = opened_and_verified(unzipped.seal().save(path))
    assert said("a bit beyond a mask's tokens") in message
    assert said("a bit beyond a row's channels") in message


@pytest.mark.parametrize("index", [-1, 2, 10**9])
def test_does_an_image_that_is_not_there_name_those_that_are(index: int, tmp_path: Path) -> None:
    path = tiny_trace(tmp_path / "fine.npz")
    rule = said("an image that is not there")
    with Trace.open(path) as trace, refused(TraceError, path, f"image {index}", rule=rule):
        trace.read(index)
