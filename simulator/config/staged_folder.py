"""Folders whose files change all at once; standard library only.

    write_folder(Path("out"), "result", {"result.json": b"...", "page.html": b"..."})
    verify_folder(Path("out"))          # the manifest and what is wrong with the files

The new files lie in a hidden folder beside the target, with a manifest of names, sizes and hashes,
and reach the disk. Then the two folders change places in one step (renameat2 with RENAME_EXCHANGE,
renamex_np on macOS), and the old one is deleted. A process that is killed at any moment leaves the
old folder or the new one. Where the file system cannot exchange (NFS), the old folder is renamed
aside first; a process killed between these two renames leaves the old one aside, and `restore` puts
it back: all that reads or writes a folder begins with it.

Files of the target that no manifest names are somebody's own: they stay, as second links to the
same files. Folders cannot be linked, so a target that holds any is refused.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import hashlib
import json
import os
import secrets
import shutil
import stat
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from simulator.config.staged_file import hidden, leftovers, lock, sync_folder

MANIFEST = "manifest.json"
SCHEMA = "stasim-folder/1"
MOST_BYTES = 1 << 24
_CANNOT_EXCHANGE = (errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.EXDEV)
_AT_FDCWD, _EXCHANGE = -100, 2

IsEarlier = Callable[[Path], bool]


def write_folder(
    folder: Path,
    kind: str,
    contents: Mapping[str, bytes],
    is_earlier: IsEarlier | None = None,
    *,
    adding: bool = False,
) -> None:
    """Make these the files of a folder, all of them at once.

    `kind` names the command that a folder belongs to; `is_earlier` knows folders from before there
    were manifests. `adding`: the command's earlier files of other names stay. Raises OSError for
    the folder of another command, and where nothing can be written; then nothing has changed. Of
    two writers at once the later one waits.
    """
    target = Path(os.path.realpath(folder))
    check_folder(target, kind, is_earlier, contents)
    target.parent.mkdir(parents=True, exist_ok=True)
    with staged(target) as stage:
        for name, content in contents.items():
            _write(stage / name, content)
        with _locked(target.parent):
            others = _others(target, kind, is_earlier, contents)
            earlier = (read_manifest(target) or {"files": {}})["files"] if adding else {}
            kept = {name: facts for name, facts in earlier.items() if name not in contents}
            _write(stage / MANIFEST, manifest_of(kind, contents, kept))
            _link([*others, *kept], target, stage)
            sync_folder(stage)
            _switch(stage, target)
            sync_folder(target.parent)
            _rescue(stage, target)


def check_folder(
    folder: Path, kind: str, is_earlier: IsEarlier | None = None, names: Collection[str] = ()
) -> None:
    """Raise OSError if a folder must not become one of a command.

    `names`: files that are going to be written.
    """
    restore(folder)
    with _held_still(folder):
        _others(folder, kind, is_earlier, names)


def _others(
    folder: Path, kind: str, is_earlier: IsEarlier | None, names: Collection[str]
) -> list[str]:
    """What a folder holds beside the files of a command. Raises OSError for another command's."""
    rule = f"must be a new or empty folder, or one that holds an earlier {kind}"
    if not folder.exists():
        return []
    if not folder.is_dir():
        raise OSError(errno.ENOTDIR, f"is a file: {rule}")
    present = {entry.name: entry for entry in os.scandir(folder)}
    if not present:
        return []
    manifest = read_manifest(folder)
    if manifest is not None and manifest["kind"] != kind:
        raise OSError(errno.ENOTEMPTY, f"holds a {manifest['kind']}: {rule}")
    if manifest is None and not (is_earlier and is_earlier(folder)):
        raise OSError(errno.ENOTEMPTY, f"holds other things: {rule}")
    own = set(names) if manifest is None else set(manifest["files"])
    others = sorted(present.keys() - own - {MANIFEST})
    for name in others:
        if present[name].is_dir(follow_symlinks=False):
            raise OSError(errno.ENOTEMPTY, f"holds the folder {name}: {rule}, without folders")
        if name in names:
            raise OSError(errno.EEXIST, f"holds {name}, which no {kind} wrote: move it away")
    return others


def read_manifest(folder: Path, name: str = MANIFEST) -> dict[str, Any] | None:
    """Return the manifest of a folder, or of a part of it; None if it has none that can be read."""
    try:
        with (folder / name).open("rb") as file:
            found = json.loads(file.read(MOST_BYTES))
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(found, dict) or found.get("schema") != SCHEMA:
        return None
    files = found.get("files")
    if not isinstance(found.get("kind"), str) or not isinstance(files, dict):
        return None
    pieces = [
        piece for each in files for piece in (each.split("/") if name != MANIFEST else [each])
    ]
    return found if all(map(_is_plain, pieces)) else None


def _is_plain(name: str) -> bool:
    return name not in ("", ".", "..") and "/" not in name and "\0" not in name


def verify_folder(folder: Path) -> tuple[dict[str, Any], list[str]]:
    """Return a folder's manifest, and what is missing or changed, a line a file.

    Raises OSError if there is no manifest.
    """
    restore(folder)
    with _held_still(folder):
        manifest = read_manifest(folder)
        if manifest is None:
            if not folder.is_dir():
                raise OSError(errno.ENOENT, "is no folder")
            rule = f"holds no {MANIFEST} that can be read: nothing to verify by"
            raise OSError(errno.ENOENT, rule)
        return manifest, changed_files(folder, manifest)


def changed_files(folder: Path, manifest: Mapping[str, Any]) -> list[str]:
    """Return what is missing or changed of the files that a manifest names, a line a file."""
    faults = {name: _fault(folder / name, facts) for name, facts in manifest["files"].items()}
    return [f"{folder / name}: {fault}" for name, fault in faults.items() if fault]


def _fault(path: Path, facts: Any) -> str:
    """What is wrong with a file, in a word; empty if it is as the manifest tells."""
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            return "is no regular file"
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            size = file.tell()
    except OSError as error:
        return "is missing" if isinstance(error, FileNotFoundError) else str(error.strerror)
    return "" if facts == {"bytes": size, "sha256": digest} else "has changed"


def restore(folder: Path) -> None:
    """Put an old folder back that a killed process had only renamed aside."""
    target = Path(os.path.realpath(folder))
    if not any(True for _ in leftovers(target, ".old")):
        return
    with _locked(target.parent):  # else a writer may be between its two renames
        for path in leftovers(target, ".old"):
            if target.exists():
                shutil.rmtree(path, ignore_errors=True)
            else:
                os.rename(path, target)


@contextlib.contextmanager
def staged(target: Path) -> Iterator[Path]:
    """Give a hidden folder beside the target, locked; deleted at the end with what it then holds.

    Those that killed processes left are deleted first.
    """
    for path in leftovers(target):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
    while True:
        path = target.with_name(f"{hidden(target)}{secrets.token_hex(4)}.part")
        path.mkdir()
        with contextlib.suppress(FileNotFoundError):
            descriptor = os.open(path, os.O_RDONLY)
            lock(descriptor)
            if path.exists():  # else taken for a leftover before it was locked
                break
            os.close(descriptor)
    try:
        with contextlib.suppress(OSError):
            if target.is_dir():
                path.chmod(stat.S_IMODE(target.stat().st_mode))
        yield path
    finally:
        os.close(descriptor)
        shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def _held_still(folder: Path) -> Iterator[None]:
    """Let no writer switch a folder while it is looked at, where one can be kept out.

    Else its old names would be compared with its new manifest.
    """
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError, PermissionError):
            stack.enter_context(_locked(Path(os.path.realpath(folder)).parent))
        yield


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold a folder against other writers, who wait."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        lock(descriptor, wait=True)
        yield
    finally:
        os.close(descriptor)


def manifest_of(
    kind: str, contents: Mapping[str, bytes], kept: Mapping[str, Any] | None = None
) -> bytes:
    """Return the text of a manifest; `kept`: entries of files that stay as they are."""
    files = {
        name: {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        for name, content in contents.items()
    } | dict(kept or {})
    return (json.dumps({"schema": SCHEMA, "kind": kind, "files": files}, indent=1) + "\n").encode()


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _link(names: Collection[str], source: Path, target: Path) -> None:
    for name in names:
        try:
            os.link(source / name, target / name, follow_symlinks=False)
        except OSError as error:
            rule = f"holds {name}, which cannot be kept ({error.strerror}): move it away"
            raise OSError(error.errno, rule) from None


def _switch(stage: Path, target: Path) -> None:
    """Put the stage in the target's place; what was there takes the stage's."""
    try:
        os.rename(stage, target)  # onto a path that is free, or an empty folder
        return
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
    try:
        exchange(stage, target)
    except OSError as error:
        if error.errno not in _CANNOT_EXCHANGE:
            raise
        aside = target.with_name(f"{hidden(target)}{secrets.token_hex(4)}.old")
        os.rename(target, aside)
        try:
            os.rename(stage, target)
        except BaseException:
            os.rename(aside, target)
            raise
        os.rename(aside, stage)


def exchange(one: Path, other: Path) -> None:
    """Let two paths change places in one step. Raises OSError."""
    library = ctypes.CDLL(None, use_errno=True)
    a, b = os.fsencode(one), os.fsencode(other)
    try:
        if sys.platform == "darwin":
            failed = library.renamex_np(a, b, _EXCHANGE)
        else:
            failed = library.renameat2(_AT_FDCWD, a, _AT_FDCWD, b, _EXCHANGE)
    except AttributeError:  # a C library without it
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS)) from None
    if failed:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(other))


def _rescue(old: Path, new: Path) -> None:
    """Move files over that somebody put into the old folder since it was looked at."""
    manifest = read_manifest(old)
    known = {MANIFEST, *(manifest["files"] if manifest else ())}
    with contextlib.suppress(OSError):
        for name in os.listdir(old):
            if name not in known and not (new / name).exists():
                os.rename(old / name, new / name)
