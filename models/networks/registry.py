"""The parts of a package by name: one file each, registered by its decorator; needs no torch."""

from __future__ import annotations

import importlib
import pkgutil
import sys
from collections.abc import Callable
from typing import Any, TypeVar

Part = TypeVar("Part")
Kind = TypeVar("Kind", bound=type)


class Registry(dict[str, Part]):
    """Hold the registered parts of `package`, each under the name of its file."""

    def __init__(self, what: str, package: str, make: Callable[[str, Any], Part]) -> None:
        """`what`: a part's kind, for messages; `make`: the part of a name and its class."""
        super().__init__()
        self.what, self.package, self.make = what, package, make

    def register(self, name: str) -> Callable[[Kind], Kind]:
        """Register a class under a name; raises ValueError for one that is taken."""

        def add(kind: Kind) -> Kind:
            if name in self:
                raise ValueError(f"{self.what} {name} is registered twice")
            self[name] = self.make(name, kind)
            return kind

        return add

    def names(self) -> tuple[str, ...]:
        """Return the names of the package's files, whether imported or not."""
        found = pkgutil.iter_modules(sys.modules[self.package].__path__)
        return tuple(each.name for each in found if each.name != "base")

    def named(self, name: str) -> Part:
        """Return a part; imports its file."""
        importlib.import_module(f"{self.package}.{name}")
        return self[name]
