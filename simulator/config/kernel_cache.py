"""Where Numba keeps compiled kernels: a folder that can be written, and files that are whole.

Numba looks for a folder beside the source, then in the user's home, and fails where neither can be
written; and it fails on a file that was cut off, in every run until somebody deletes it. It reads
and writes a function's index in two steps, so that processes that compile the same function for
different types at the same time could each get the other's code: here one waits for the other. An
index that names a class which is no longer there is empty here: its function is compiled again.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import os
import pickletools
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numba
from numba.core import caching

from simulator.errors import ExecutionError


def use_kernel_cache() -> None:
    """Let Numba ask KernelCache where to keep kernels, unless the user names another class."""
    if not numba.config.CACHE_LOCATOR_CLASSES:
        numba.config.CACHE_LOCATOR_CLASSES = f"{__name__}.KernelCache"
        index = caching.IndexDataCacheFile
        index.save = _one_at_a_time(index.save)
        index._load_index = _empty_if_outdated(index._load_index)


def _one_at_a_time(save: Callable[[Any, Any, Any], None]) -> Callable[[Any, Any, Any], None]:
    """The function, but only one process at a time writes into a folder of kernels."""

    @functools.wraps(save)
    def waiting(self: Any, key: Any, data: Any) -> None:
        folder = os.open(self._cache_path, os.O_RDONLY)
        try:
            with contextlib.suppress(OSError):  # a file system without locks
                fcntl.flock(folder, fcntl.LOCK_EX)
            save(self, key, data)
        finally:
            os.close(folder)

    return waiting


def _empty_if_outdated(load: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """The function, but an index is empty where a type in it is of a class that is gone."""

    @functools.wraps(load)
    def loading(self: Any) -> Any:
        try:
            return load(self)
        except (AttributeError, ImportError):
            return {}

    return loading


class KernelCache:
    """What Numba calls a locator: it names the folder of a function's compiled code."""

    @classmethod
    def from_function(cls, function: Callable[..., Any], file: str) -> Any:
        """Numba's own choice of a folder, else one of this user among the temporary files.

        Files of the function that are cut off are deleted, so that it is compiled again.
        """
        for locator in caching.CacheImpl._locator_classes:
            found = locator.from_function(function, file)
            if found is not None:
                break
        else:
            found = _InTemporary(function, file)
        name = f"{Path(file).stem}.{function.__qualname__.replace('<', '').replace('>', '')}"
        remove_damaged(Path(found.get_cache_path()), f"{name}-{found.get_disambiguator()}.")
        return found


class _InTemporary(caching.UserProvidedCacheLocator):  # type: ignore[misc]
    """A folder of this user's own among the temporary files."""

    def __init__(self, function: Callable[..., Any], file: str) -> None:
        self._py_file = file
        self._lineno = function.__code__.co_firstlineno
        subfolder = self.get_suitable_cache_subpath(file)
        self._cache_path = os.path.join(_own_folder(), subfolder)
        self.ensure_cache_path()


def _own_folder() -> str:
    """A folder that nobody else can write: what is read from it is run."""
    rule = "no folder for compiled kernels can be written: set NUMBA_CACHE_DIR or TMPDIR"
    try:
        path = os.path.join(tempfile.gettempdir(), f"stasim-kernels-{os.getuid()}")
        with contextlib.suppress(FileExistsError):
            os.mkdir(path, 0o700)
        found = os.lstat(path)
        private = stat.S_ISDIR(found.st_mode) and not found.st_mode & 0o077
        if not private or found.st_uid != os.getuid():
            raise ExecutionError(f"{path}: must be a folder that only you can read; {rule}")
    except OSError as error:
        raise ExecutionError(f"{rule} ({error.strerror})") from None
    return path


def remove_damaged(folder: Path, beginning: str) -> None:
    """Delete the files whose names begin so and that are not whole."""
    with contextlib.suppress(OSError):
        for path in folder.iterdir():
            if path.name.startswith(beginning) and path.suffix in (".nbi", ".nbc"):
                with path.open("rb") as file:
                    entire = _holds_pickles(file, 2 if path.suffix == ".nbi" else 1)
                if not entire:
                    path.unlink()


def _holds_pickles(file: BinaryIO, count: int) -> bool:
    """Whether a file is so many pickles, each complete; nothing of them is run."""
    try:
        for _ in range(count):
            for _ in pickletools.genops(file):
                pass
    except Exception:  # whatever the parser says of arbitrary bytes
        return False
    return not file.read(1)
