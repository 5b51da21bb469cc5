"""Files that appear whole or not at all; standard library only.

The new content lies in a hidden file beside the target, reaches the disk, and takes the target's
place by one rename; then the folder reaches the disk. A process that is killed at any moment leaves
the old file or the new one, and at most a hidden file, which the next write to the target removes.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import IO

LOOKED_AT_BYTES = 1 << 16
"""So much of the begin and of the end of a file says whether it is one of ours."""
_LONGEST_NAME = 200


@contextlib.contextmanager
def staged_file(path: Path, ours: bytes | None = None) -> Iterator[IO[bytes]]:
    """Give a new file to write, which takes the target's place at the end.

    On any exception nothing is left of it, and the target stays as it was. A link is followed.
    `ours`: bytes that a file in that place must hold to be replaced; None where the caller has
    looked. Raises OSError, also for a device, a pipe or a folder in the target's place.
    """
    target = replaceable(path, ours)
    remove_leftovers(target)
    spool, descriptor = _spool(target)
    try:
        with open(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(descriptor)
            with contextlib.suppress(FileNotFoundError):
                os.fchmod(descriptor, stat.S_IMODE(target.stat().st_mode))
            os.replace(spool, target)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            spool.unlink()
        raise
    sync_folder(target.parent)


@contextlib.contextmanager
def written_file(path: Path, ours: bytes, error: type[Exception]) -> Iterator[IO[bytes]]:
    """Give a file as `staged_file` does. Raises `error` if it cannot be written."""
    try:
        with staged_file(path, ours) as file:
            yield file
    except OSError as fault:
        raise error(path, fault.strerror, "must be a file that can be written") from fault


def replaceable(path: Path, ours: bytes | None = None) -> Path:
    """Return the file that a write to `path` replaces or makes; raise OSError if it must not."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return Path(os.path.realpath(path))
    if stat.S_ISDIR(status.st_mode):
        raise OSError(errno.EISDIR, "is a folder: must be a file")
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "is a device or a pipe: must be a regular file")
    if ours is not None and status.st_size and not _holds(path, ours):
        rule = "holds something else: must be new, or of the same kind by STASim"
        raise OSError(errno.EEXIST, rule)
    return Path(os.path.realpath(path))


def named(path: str | Path) -> str:
    """Return the path for a message, with where it leads if it is a link."""
    return f"{path} -> {os.path.realpath(path)}" if os.path.islink(path) else str(path)


def _holds(path: Path, mark: bytes) -> bool:
    with path.open("rb") as file:
        begin = file.read(LOOKED_AT_BYTES)
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - LOOKED_AT_BYTES))
        return mark in begin or mark in file.read(LOOKED_AT_BYTES)


def hidden(target: Path) -> str:
    """Return what the names of hidden things beside a target begin with."""
    name = target.name
    if len(os.fsencode(name)) > _LONGEST_NAME:
        name = hashlib.sha256(os.fsencode(name)).hexdigest()
    return f".{name}."


def _spool(target: Path) -> tuple[Path, int]:
    """A hidden file beside the target, locked as long as it is open."""
    while True:
        path = target.with_name(f"{hidden(target)}{secrets.token_hex(4)}.part")
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        lock(descriptor)
        if os.fstat(descriptor).st_nlink:  # else taken for a leftover before it was locked
            return path, descriptor
        os.close(descriptor)


def lock(descriptor: int, *, wait: bool = False) -> bool:
    """Lock an open file or folder until it is closed; False if another process holds it.

    True also where the file system has no locks.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    except OSError:
        pass
    return True


def leftovers(target: Path, ending: str = ".part") -> Iterator[Path]:
    """Yield what processes that were killed left beside the target: nobody holds it."""
    with contextlib.suppress(OSError):
        for entry in os.scandir(target.parent):
            if not entry.name.startswith(hidden(target)) or not entry.name.endswith(ending):
                continue
            with contextlib.suppress(OSError):
                descriptor = os.open(entry.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    yield Path(entry.path)
                finally:
                    os.close(descriptor)


def remove_leftovers(target: Path) -> None:
    """Delete the hidden files that killed processes left beside the target."""
    for path in leftovers(target):
        with contextlib.suppress(OSError):
            path.unlink()


def sync_folder(folder: Path) -> None:
    """Make the names in a folder last; not every system can."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
