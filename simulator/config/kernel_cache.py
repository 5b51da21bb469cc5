"""Where Numba keeps compiled kernels, when it compiles them again, and how it loads them.

Numba looks for a folder beside the source, then in the user's home, and fails where neither can be
written; and it fails on a file that was cut off, in every run until somebody deletes it: here the
function is compiled again, as where an index names a class that is gone. It reads and writes a
function's index in two steps, so that processes that compile the same function for different types
at the same time could each get the other's code: here one waits for the other.

Numba compiles a function again when its own file has changed; here also when a file has changed
from which it takes parts, types or constants.

Before it loads a compiled function, Numba registers all functions and types that it could compile,
SciPy's linear algebra among them, which takes longer than a short job. Machine code needs none of
them: they are registered when something is compiled.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import hashlib
import os
import stat
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
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
        caching.IndexDataCacheFile = KernelIndex
        caching.Cache.load_overload = _load_overload


class KernelIndex(caching.IndexDataCacheFile):  # type: ignore[misc]
    """A function's index and its code: what is damaged is absent; one process writes at a time."""

    def __init__(self, cache_path: str, filename_base: str, source_stamp: object) -> None:
        """Take what Numba's own class takes."""
        super().__init__(cache_path, filename_base, source_stamp)
        self.folder = cache_path

    def load(self, key: object) -> Any:
        """Return the code, or None: it is compiled then, and written over what is damaged."""
        try:
            return super().load(key)
        except OSError:
            raise
        except Exception:  # whatever pickle says of arbitrary bytes, or of classes that are gone
            return None

    def save(self, key: object, data: object) -> None:
        """Add code to the index; write a new one where it cannot be read."""
        folder = os.open(self.folder, os.O_RDONLY)
        try:
            with contextlib.suppress(OSError):  # a file system without locks
                fcntl.flock(folder, fcntl.LOCK_EX)
            try:
                super().save(key, data)
            except OSError:
                raise
            except Exception:
                self.flush()
                super().save(key, data)
        finally:
            os.close(folder)


def _load_overload(self: Any, signature: Any, target_context: Any) -> Any:
    """Load a compiled function; of what compiling needs, only the runtime of one that allocates."""
    # Numba's public method registers everything first and then does this: no other leaves it out.
    if self._py_func not in WITHOUT_RUNTIME:
        rtsys.initialize(target_context)
    return self._load_overload(signature, target_context)


class KernelCache:
    """What Numba calls a locator: it names the folder of a function's compiled code."""

    @classmethod
    def from_function(cls, function: Callable[..., Any], file: str) -> Any:
        """Return Numba's own choice of a folder, else one of this user among temporary files."""
        for locator in (
            caching.UserProvidedCacheLocator,
            caching.InTreeCacheLocator,
            caching.UserWideCacheLocator,
            caching.IPythonCacheLocator,
            caching.ZipCacheLocator,
            _InTemporary,
        ):
            found = locator.from_function(function, file)
            if found is not None:
                break
        stamp = found.get_source_stamp
        found.get_source_stamp = lambda: (stamp(), _origins(function))
        return found


class _InTemporary(caching.UserProvidedCacheLocator):  # type: ignore[misc]
    """A folder of this user's own among the temporary files."""

    @classmethod
    def from_function(cls, function: Callable[..., Any], file: str) -> Any:
        found = cls(function, file)
        found.ensure_cache_path()
        return found

    def __init__(self, function: Callable[..., Any], file: str) -> None:
        super().__init__(function, file)
        self.folder = os.path.join(_own_folder(), self.get_suitable_cache_subpath(file))

    def get_cache_path(self) -> str:
        return self.folder


def _origins(function: Callable[..., Any]) -> tuple[str, ...]:
    """Return hashes of the files of ours from which a function's module, and parts, take names.

    Of a number that is imported alone nobody knows where from: import its module.
    """
    packages = {__name__.partition(".")[0], str(function.__module__).partition(".")[0]}
    found: set[str] = set()
    left = [function.__globals__]
    while left:
        for each in left.pop().values():
            name = each.__name__ if isinstance(each, ModuleType) else _module_of(each)
            if name in sys.modules and name not in found and name.partition(".")[0] in packages:
                found.add(name)
                names = vars(sys.modules[name])
                left += [names] if "kernel_part" in names else []
    return tuple(_hash(getattr(sys.modules[name], "__file__", None)) for name in sorted(found))


def _module_of(value: object) -> str:
    name = getattr(value, "__module__", None)
    return name if isinstance(name, str) else ""


@functools.cache
def _hash(file: str | None) -> str:
    """Return the hash of a file's content; of one inside an archive its name stands for it."""
    try:
        return hashlib.sha256(Path(str(file)).read_bytes()).hexdigest()
    except OSError:
        return str(file)


def _own_folder() -> str:
    """Return a folder that nobody else can write: what is read from it is run."""
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
