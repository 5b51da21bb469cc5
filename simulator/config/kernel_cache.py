"""Where Numba keeps compiled kernels, and how it loads them.

Numba looks for a folder beside the source, then in the user's home, and fails where neither can be
written; and it fails on a file that was cut off, in every run until somebody deletes it: here the
function is compiled again, as where an index names a class that is gone. It reads and writes a
function's index in two steps, so that processes that compile the same function for different types
at the same time could each get the other's code: here one waits for the other.

Before it loads a compiled function, Numba registers all functions and types that it could compile,
SciPy's linear algebra among them, which takes longer than a short job. Machine code needs none of
them: they are registered when something is compiled.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import os
import stat
import tempfile
from collections.abc import Callable
from typing import Any

import numba
from numba.core import caching
from numba.core.runtime import rtsys

from simulator.errors import ExecutionError

WITHOUT_RUNTIME: set[Callable[..., Any]] = set()
"""Functions that allocate nothing: Numba's runtime, itself compiled at its start, serves others."""


def use_kernel_cache() -> None:
    """Let Numba ask KernelCache where to keep kernels, unless the user names another class."""
    if not numba.config.CACHE_LOCATOR_CLASSES:
        numba.config.CACHE_LOCATOR_CLASSES = f"{__name__}.KernelCache"
        index = caching.IndexDataCacheFile
        index.save = _one_at_a_time(index.save)
        index._load_index = _empty_if_damaged(index._load_index)
        index._load_data = _absent_if_damaged(index._load_data)
        caching.Cache.load_overload = _load_overload


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


def _empty_if_damaged(load: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """The function, but an index is empty that is cut off or of classes that are gone."""

    @functools.wraps(load)
    def loading(self: Any) -> Any:
        try:
            return load(self)
        except OSError:
            raise
        except Exception:  # whatever pickle says of arbitrary bytes
            return {}

    return loading


def _absent_if_damaged(load: Callable[[Any, str], Any]) -> Callable[[Any, str], Any]:
    """The function, but code that is cut off is not there."""

    @functools.wraps(load)
    def loading(self: Any, name: str) -> Any:
        try:
            return load(self, name)
        except Exception as error:  # whatever pickle says of arbitrary bytes
            raise FileNotFoundError(name) from error

    return loading


def _load_overload(self: Any, signature: Any, target_context: Any) -> Any:
    """Load a compiled function; of what compiling needs, only the runtime of one that allocates."""
    if self._py_func not in WITHOUT_RUNTIME:
        rtsys.initialize(target_context)
    with self._guard_against_spurious_io_errors():
        return self._load_overload(signature, target_context)


class KernelCache:
    """Name the folder of a function's compiled code: what Numba calls a locator."""

    @classmethod
    def from_function(cls, function: Callable[..., Any], file: str) -> Any:
        """Return Numba's own choice of a folder, else one of this user among temporary files."""
        for locator in caching.CacheImpl._locator_classes:
            found = locator.from_function(function, file)
            if found is not None:
                return found
        return _InTemporary(function, file)


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
            raise ExecutionError(path, f"must be a folder that only you can read; {rule}")
    except OSError as error:
        raise ExecutionError(f"{rule} ({error.strerror})") from None
    return path
