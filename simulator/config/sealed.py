"""JSON objects that carry a hash of their own content; standard library only.

content = sealed({"schema": "...", "steps": [...]})     # with the key content_hash
is_sealed(content)                                      # whether it still fits the rest
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

SEAL = "content_hash"


def content_hash(content: Mapping[str, Any]) -> str:
    """sha256 of the canonical JSON of the other keys. Raises ValueError for NaN and infinity."""
    rest = {key: value for key, value in content.items() if key != SEAL}
    text = json.dumps(rest, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def sealed(content: Mapping[str, Any]) -> dict[str, Any]:
    """The object with its hash. Raises ValueError for NaN and infinity."""
    return {**content, SEAL: content_hash(content)}


def is_sealed(content: Mapping[str, Any]) -> bool:
    """Whether an object has a hash that fits the rest of it."""
    try:
        return content.get(SEAL) == content_hash(content)
    except ValueError:
        return False
