"""The set bits of a word, as one instruction of the machine."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import config, types
from numba.extending import intrinsic

if config.DISABLE_JIT:

    def popcount(word: Any) -> int:
        """Return the set bits of a uint64."""
        return int(np.bitwise_count(word))

else:

    @intrinsic
    def popcount(typing_context: Any, word: Any) -> Any:
        """Return the set bits of a uint64."""

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return builder.ctpop(arguments[0])

        return types.int64(types.uint64), generate
