"""Compiles parts of kernels: into code that is linked into their callers and nothing else.

Numba optimizes a function with all that it calls and makes machine code of it, then does so again
for each function that calls it. Along a chain of parts that is most of the time of a compilation,
and nobody runs that code. Numba has no option for this and no public method between linking and
optimizing, so inner methods are overridden: pyproject.toml bounds its version, and
tests/unit/test_are_kernels_kept_anywhere.py says whether they still do what they did.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import _dynfunc
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler


class PartCompiler(Compiler):  # type: ignore[misc]
    """Compile, as Numba does, a function that kernels alone call."""

    def __init__(self, typing: Any, target: Any, library: Any, args: Any, *others: Any) -> None:
        """Take what Numba's compiler takes."""
        super().__init__(typing, target, _PartCode(target.codegen(), "part"), args, *others)
        # The context is this compilation's own copy.
        self.state.targetctx.get_executable = _not_executable


class _PartCode(JITCodeLibrary):  # type: ignore[misc]
    """Code that is neither optimized nor run before a kernel holds it."""

    def _optimize_final_module(self) -> None:
        """Leave it to the kernel."""

    def _finalize_final_module(self) -> None:
        """Keep the module from the engine, which would make machine code of it."""
        self._finalized = True


def _not_executable(library: Any, description: Any, environment: Any) -> Callable[..., Any]:
    """Return an object that Numba knows the part by; it cannot be called."""
    library.finalize()
    function: Callable[..., Any] = _dynfunc.make_function(
        description.lookup_module(), description.qualname, "", 0, environment, (library,)
    )
    return function
