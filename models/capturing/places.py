"""Where an operation is called: the running module, the user's line, the calls between the two."""

from __future__ import annotations

import inspect
import sysconfig
from collections import Counter
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import torch
from torch import nn
from torch.nn.modules.module import (
    register_module_forward_hook,
    register_module_forward_pre_hook,
)

from models.capturing.refusals import SourcePlace
from models.capturing.running import modules_of

_TORCH = str(Path(torch.__file__).parent)
_SITE = tuple({sysconfig.get_paths()[key] for key in ("purelib", "platlib", "stdlib")})
_OWN = str(Path(__file__).parent)
# Runs an operation by others, for what calls it.
_RULES = str(Path(__file__).with_name("rules.py"))
_MODULE_CALL: CodeType = vars(nn.Module)["__call__"].__code__
# Further down than any network's own calls.
_DEEPEST = 200


class RunningModule:
    """Describe a module that is running: its name in the network, and its class.

    `lines`: the user's line and an installed package's above its call, once they are looked up.
    """

    __slots__ = ("kind", "lines", "name")

    def __init__(self, name: str, kind: str) -> None:
        self.name, self.kind = name, kind
        self.lines: tuple[str, str] | None = None


class ModuleStack:
    """Keep the modules that are running, innermost last, by their names in the network."""

    def __init__(self, network: Callable[..., Any]) -> None:
        self.names: dict[int, str] = {}
        for root in modules_of(network):
            self.names |= {id(module): name for name, module in root.named_modules()}
        self._strangers: Counter[str] = Counter()
        self.running: list[RunningModule] = [RunningModule("", "")]
        self._handles: list[Any] = []

    def __enter__(self) -> ModuleStack:
        self._handles = [
            register_module_forward_pre_hook(self._enter),
            register_module_forward_hook(self._leave, always_call=True),
        ]
        return self

    def __exit__(self, *exception: object) -> None:
        for handle in self._handles:
            handle.remove()

    def _enter(self, module: nn.Module, inputs: Any) -> None:
        kind = type(module).__name__
        if id(module) not in self.names:
            self._strangers[kind] += 1
            self.names[id(module)] = f"{kind}_{self._strangers[kind]}"
        self.running.append(RunningModule(self.names[id(module)], kind))

    def _leave(self, module: nn.Module, inputs: Any, output: Any) -> None:
        if len(self.running) > 1:
            self.running.pop()


class RowPlaces:
    """Find the place of the call that is being dispatched."""

    def __init__(self, modules: ModuleStack) -> None:
        self.modules = modules
        self._kinds: dict[int, tuple[int, CodeType]] = {}

    def here(self) -> SourcePlace:
        """Walk up the Python stack: to the module's call for the site, to the user for the line."""
        module = self.modules.running[-1]
        site, line, fallback = self._walk(inspect.currentframe(), module)
        return SourcePlace(module.name, line or fallback or "?", site, module.kind)

    def _walk(
        self, frame: FrameType | None, module: RunningModule | None = None
    ) -> tuple[int, str, str]:
        """Return the site, the innermost line of the user's and that of an installed package.

        `module`: at whose call the site ends; else what is above one is looked for lines alone.
        """
        site, line, fallback, entered = 0, "", "", module is None
        for _ in range(_DEEPEST):
            if frame is None or (module is None and line):
                break
            code = frame.f_code
            if module is not None and code is _MODULE_CALL:
                # Above the call of a module the stack is one for all that the module calls.
                if not line:
                    if module.lines is None:
                        module.lines = self._walk(frame.f_back)[1:]
                    line, fallback = module.lines[0], fallback or module.lines[1]
                break
            kind = self._kind(code)
            if kind == 3:
                if entered:  # the frame that runs the network
                    break
            else:
                entered = True
                site = hash((site, id(code), frame.f_lasti))
                if kind == 0 and not line:
                    line = _spoken(frame)
                if kind == 1 and not fallback:
                    fallback = _spoken(frame)
            frame = frame.f_back
        return site, line, fallback

    def _kind(self, code: CodeType) -> int:
        """Whose code it is, by its identity: the hash of code goes over all that it holds."""
        known = self._kinds.get(id(code))
        if known is None:
            known = self._kinds[id(code)] = (_kind_of(code), code)
        return known[0]


def _kind_of(code: CodeType) -> int:
    """0: the user's code; 1: an installed package; 2: torch and Python itself; 3: this recorder."""
    file = code.co_filename
    if file.startswith(_OWN):
        return 2 if file == _RULES else 3
    if file.startswith(_TORCH) or (file.startswith("<") and file != "<stdin>"):
        return 2
    return 1 if file.startswith(_SITE) else 0


def _spoken(frame: FrameType) -> str:
    return f"{_name_of(frame.f_code.co_filename)}:{frame.f_lineno}"


@lru_cache(maxsize=1024)
def _name_of(file: str) -> str:
    return Path(file).name
