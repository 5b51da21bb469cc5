"""A file that appears whole or not at all; standard library only."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[IO[bytes]]:
    """A new file beside the target; at the end it reaches the disk and takes the target's place.

    On any exception nothing is left of it, and the target stays as it was. Raises OSError.
    """
    handle, spool = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(spool, 0o666 & ~mask)
        os.replace(spool, path)
    except BaseException:
        os.unlink(spool)
        raise
