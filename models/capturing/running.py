"""Running a network so that everything it does reaches the recorder."""

from __future__ import annotations

import contextlib
import gc
import sys
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

# PyTorch documents the class ("Extending PyTorch") and exports it nowhere else.
from torch.utils._python_dispatch import TorchDispatchMode

from models.capturing.rules import OperatorRule, rule_of


class DispatchMode(TorchDispatchMode):
    """Hand on each operation that is not made of others, and keep what was random at the start.

    It does not load the compiler; `plainly` keeps that from running.
    """

    def __init__(self) -> None:
        super().__init__()
        self.random_state = torch.get_rng_state()
        self.generators: dict[Any, Tensor] = {}

    def dispatched(
        self, func: Any, rule: OperatorRule, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """Run an operation; return its result."""
        raise NotImplementedError

    def keep_generator(self, generator: Any) -> None:
        """Note the state of a generator that is used for the first time."""
        if generator not in self.generators:
            self.generators[generator] = generator.get_state()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        rule = rule_of(func)
        if rule.parts is not None:
            with self:
                made = rule.parts(*args, **kwargs)
            if made is not NotImplemented:
                return made
        return self.dispatched(func, rule, args, kwargs)

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Whether PyTorch wraps each call so that it is never compiled: a hook of its own only."""
        return False


@contextlib.contextmanager
def plainly() -> Iterator[None]:
    """Run without gradients and the fused kernels whose insides a dispatch mode cannot see.

    Under inference mode some libraries call kernels of their own, so it is switched off. Compiled
    modules run as they are written, those of TorchScript too, which else change between runs.
    """
    compiles = "torch._dynamo" in sys.modules  # set_stance would load it
    uncompiled = torch.compiler.set_stance("force_eager") if compiles else contextlib.nullcontext()
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with (
            torch.inference_mode(False),
            torch.no_grad(),
            sdpa_kernel(SDPBackend.MATH),
            uncompiled,
            torch.jit.optimized_execution(False),
        ):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)


@contextlib.contextmanager
def uncollected() -> Iterator[None]:
    """Run without garbage collection: what is made stays, and searching it is slow."""
    before = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if before:
            gc.enable()


def modules_of(network: Any) -> list[nn.Module]:
    """Return the modules behind a callable: itself, a method's owner, what a function encloses."""
    if isinstance(network, nn.Module):
        return [network]
    owner = getattr(network, "__self__", None)
    enclosed = [cell.cell_contents for cell in getattr(network, "__closure__", None) or ()]
    return [each for each in (owner, *enclosed) if isinstance(each, nn.Module)]


@contextlib.contextmanager
def evaluating(network: Any) -> Iterator[None]:
    """Put all modules in evaluation mode; every module gets its own mode back."""
    roots = modules_of(network)
    before = {module: module.training for root in roots for module in root.modules()}
    for root in roots:
        with contextlib.suppress(NotImplementedError):  # an exported graph has the mode it has
            root.eval()
    try:
        yield
    finally:
        for module, training in before.items():
            module.training = training


def reset(network: Any) -> None:
    """Reset the state of all neurons that say how: SpikingJelly's `reset`, snnTorch's `reset_mem`.

    A `reset` of the user's own may do anything, so it is left alone.
    """
    for root in modules_of(network):
        for module in root.modules():
            # SpikingJelly's MemoryModule, known by its attribute without importing the library.
            own = getattr(module, "reset", None) if hasattr(module, "_memories") else None
            own = own or getattr(module, "reset_mem", None)
            if callable(own):
                own()
