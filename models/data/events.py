"""CIFAR10-DVS: events of a moving CIFAR-10 picture in front of a DVS128 camera, as frames.

Under the data folder is a folder per class, as the data set's archives unpack, with
`cifar10_<class>_<number>.aedat` files (AEDAT 2: lines that begin with #, then big-endian pairs of
32-bit address and microseconds). SpikingJelly's conversions are read too: `events_np/<class>/*.npz`
with x, y, p, and `frames_number_<T>_split_by_number/<class>/*.npz` with frames (timestep, 2, 128,
128). Events are cut into T parts of equal number and counted by polarity; a count beyond 255 is
cut. The first 100 of each class are held out, as is usual (TEBN's split).
"""

from __future__ import annotations

import functools
import io
import zipfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from models.data.images import Images
from models.data.unread import Unread
from models.errors import ModelError

CLASSES = [
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
]  # the labels 0 to 9
SIDE = 128
HELD_OUT_PER_CLASS = 100
MOST_BYTES = 1 << 28
LARGEST_COUNT = 255


class Events(NamedTuple):
    """Hold events in order of time: column and row 0..127, polarity 0 or 1."""

    x: npt.NDArray[np.int64]
    y: npt.NDArray[np.int64]
    p: npt.NDArray[np.int64]


def event_frames(folder: Path, timesteps: int, count: int | None, train: bool = False) -> Images:
    """Read `count` samples (None: all), spaced evenly: counts (image, timestep, polarity, h, w)."""
    images = unread_frames(folder, timesteps, count, train)
    return images._replace(pixels=images.pixels.astype(np.uint8))


def unread_frames(folder: Path, timesteps: int, count: int | None, train: bool) -> Images:
    """Return those samples while their counts are still in the files."""
    if not folder.is_dir():
        raise ModelError(f"data folder {folder} does not exist")
    root, suffix = _root(folder, timesteps)
    files = [
        (path, label)
        for label, name in enumerate(CLASSES)
        for number, path in sorted((_number(path), path) for path in root.glob(f"{name}/*{suffix}"))
        if (number >= HELD_OUT_PER_CLASS) == train
    ]
    found = len(files)
    count = found if count is None else count
    if not 1 <= count <= found:
        raise ModelError(f"{count} images asked for; {folder} holds {found}")
    chosen = [files[at * found // count] for at in range(count)]
    read = functools.partial(_frames, timesteps=timesteps)
    paths = [path for path, _ in chosen]
    return Images(
        Unread(paths, (timesteps, 2, SIDE, SIDE), read),  # type: ignore[arg-type]
        np.array([label for _, label in chosen], dtype=np.int64),
        tuple(f"{path.parent.name}/{path.name}" for path, _ in chosen),
        "train" if train else "first 100 of each class",
        f"full data set, events in {timesteps} parts of equal number",
    )


def _root(folder: Path, timesteps: int) -> tuple[Path, str]:
    """The folder whose subfolders are the classes, and the suffix of its files."""
    frames = folder / f"frames_number_{timesteps}_split_by_number"
    for root, suffix in ((frames, ".npz"), (folder / "events_np", ".npz"), (folder, ".aedat")):
        if any(root.glob(f"*/*{suffix}")):
            return root, suffix
    raise ModelError(
        f"data folder {folder} holds no CIFAR10-DVS: it must hold a folder per class with .aedat "
        f"files, events_np, or {frames.name}"
    )


def _number(path: Path) -> int:
    """The sample's number, which ends its name."""
    tail = path.stem.rsplit("_", 1)[-1]
    if not tail.isdecimal():
        raise ModelError(path, "its name must end in the sample's number, as in cifar10_cat_7")
    return int(tail)


def _frames(path: Path, timesteps: int) -> npt.NDArray[np.uint8]:
    """Counts (timestep, polarity, h, w) of one file."""
    if path.stat().st_size > MOST_BYTES:
        raise ModelError(f"{path} is larger than {MOST_BYTES} bytes")
    if path.suffix == ".aedat":
        return counted(read_aedat(path), timesteps)
    arrays = _arrays(path)
    if "frames" not in arrays:
        return counted(_events_of(path, arrays), timesteps)
    frames = arrays["frames"]
    if frames.shape != (timesteps, 2, SIDE, SIDE):
        raise ModelError(path, f"frames is {frames.shape}; it must be {(timesteps, 2, SIDE, SIDE)}")
    return np.clip(np.rint(frames), 0, LARGEST_COUNT).astype(np.uint8)


def _arrays(path: Path) -> dict[str, npt.NDArray[np.float64]]:
    """The numeric arrays of an .npz file."""
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as file:
            return {name: np.asarray(file[name], np.float64) for name in file.files}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise ModelError(f"{path} is not a file of arrays: {error}") from error


def _events_of(path: Path, arrays: dict[str, npt.NDArray[np.float64]]) -> Events:
    """Events from arrays x, y and p of one length."""
    missing = [name for name in "xyp" if name not in arrays]
    if missing or len({arrays[name].shape for name in "xyp"}) != 1:
        raise ModelError(path, "it must hold frames, or x, y and p of one length")
    return _checked(path, Events(*(arrays[name].ravel().astype(np.int64) for name in "xyp")))


def read_aedat(path: Path) -> Events:
    """Read the events of an AEDAT 2 file of a DVS128; raises ModelError for another file.

    The camera's axes are mirrored and its polarity bit is 0 for brighter, as SpikingJelly reads it.
    """
    data = path.read_bytes()
    start = 0
    while data[start : start + 1] == b"#":
        end = data.find(b"\n", start)
        if end < 0:
            raise ModelError(path, "its header has no end")
        start = end + 1
    if not start or (len(data) - start) % 8:
        raise ModelError(f"{path} is no AEDAT 2 file: header lines, then events of 8 bytes")
    address = np.frombuffer(data, ">u4", offset=start)[::2].astype(np.int64)
    column, row = address >> 1 & 0x7F, address >> 8 & 0x7F
    return _checked(path, Events(SIDE - 1 - row, SIDE - 1 - column, 1 - (address & 1)))


def _checked(path: Path, events: Events) -> Events:
    """The events, if there are any and all are on the sensor."""
    inside = all(int(v.min()) >= 0 and int(v.max()) < SIDE for v in events[:2] if len(v))
    if not len(events.x) or not inside or not set(np.unique(events.p)) <= {0, 1}:
        raise ModelError(f"{path} must hold events with x, y in 0..{SIDE - 1} and polarity 0 or 1")
    return events


def counted(events: Events, timesteps: int) -> npt.NDArray[np.uint8]:
    """Count (timestep, polarity, h, w) in parts of equal number; the last takes the rest."""
    total = len(events.x)
    part = np.minimum(np.arange(total) // max(1, total // timesteps), timesteps - 1)
    place = ((part * 2 + events.p) * SIDE + events.y) * SIDE + events.x
    counts = np.bincount(place, minlength=timesteps * 2 * SIDE * SIDE)
    return np.minimum(counts, LARGEST_COUNT).astype(np.uint8).reshape(timesteps, 2, SIDE, SIDE)
