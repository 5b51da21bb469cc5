"""How loops are compiled: a decorator for each side that calls them.

A function that kernels alone call goes without the code that takes arguments out of Python's
objects and puts results back: for a tuple of arrays that takes longer to compile than the function.
In one that allocates nothing, Numba counts no references: it would count those of all arrays that
each call is given, which for a short one takes longer than its work, and compile error messages.

A part that Python calls ends the process; tests/unit/test_are_kernels_called_rightly.py looks for
such calls. An array as an index allocates, which a cold compilation alone finds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from numba import njit

from simulator.config.kernel_cache import WITHOUT_RUNTIME, use_kernel_cache
from simulator.config.kernel_compiler import PartCompiler

Function = TypeVar("Function", bound=Callable[..., Any])

use_kernel_cache()

_FOR_KERNELS: dict[str, Any] = {
    "no_cpython_wrapper": True,
    "pipeline_class": PartCompiler,
    "cache": False,
}


# Numba would look for expressions of whole arrays to fuse: there are none without allocation.
_NO_ARRAYS_MADE = {"_nrt": False, "no_rewrites": True}


def kernel(function: Function) -> Function:
    """Compile a function that Python calls and that allocates nothing."""
    WITHOUT_RUNTIME.add(function)
    return _compiled(function, **_NO_ARRAYS_MADE)


def kernel_part(function: Function) -> Function:
    """Compile a function that kernels alone call and that allocates nothing."""
    return _compiled(function, **_NO_ARRAYS_MADE, **_FOR_KERNELS)


def allocating_kernel(function: Function) -> Function:
    """Compile a function that Python calls and that may allocate."""
    return _compiled(function)


def allocating_part(function: Function) -> Function:
    """Compile a function that kernels alone call and that may allocate."""
    return _compiled(function, **_FOR_KERNELS)


def _compiled(function: Function, **options: Any) -> Function:
    compiled: Function = njit(**{"cache": True, "nogil": True, "no_cfunc_wrapper": True} | options)(
        function
    )
    return compiled
