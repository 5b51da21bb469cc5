"""JSON objects and tensor files that carry a hash of their own content; standard library only.

content = sealed({"schema": "...", "steps": [...]})     # with the key content_hash
is_sealed(content)                                      # whether it still fits the rest
sealed_tensors(data), are_tensors_sealed(data)          # the same of a safetensors file
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

SEAL = "content_hash"
_METADATA = "__metadata__"


def content_hash(content: Mapping[str, Any]) -> str:
    """Return sha256 of the canonical JSON of the other keys. Raises ValueError for NaN."""
    rest = {key: value for key, value in content.items() if key != SEAL}
    text = json.dumps(rest, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def sealed(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return the object with its hash. Raises ValueError for NaN and infinity."""
    return {**content, SEAL: content_hash(content)}


def is_sealed(content: Mapping[str, Any]) -> bool:
    """Return whether an object has a hash that fits the rest of it."""
    try:
        return content.get(SEAL) == content_hash(content)
    except ValueError:
        return False


def sealed_tensors(content: bytes) -> bytes:
    """Return a tensor file with its hash in it."""
    header, data = _header_and_data(content)
    header.setdefault(_METADATA, {})[SEAL] = _tensors_hash(header, data)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return b"".join((len(text).to_bytes(8, "little"), text, data))


def are_tensors_sealed(content: bytes) -> bool:
    """Return whether a tensor file's hash fits it. Raises ValueError for any other file."""
    header, data = _header_and_data(content)
    metadata = header.get(_METADATA)
    stated = metadata.get(SEAL) if isinstance(metadata, dict) else None
    if stated is None:
        raise ValueError(f"holds no {SEAL}: is of an earlier version, or of another program")
    return bool(stated == _tensors_hash(header, data))


def metadata_of(content: bytes) -> dict[str, Any]:
    """Return what a tensor file of ours states beside its tensors; empty for any other."""
    stated = _header_and_data(content)[0].get(_METADATA)
    try:
        found = json.loads(stated["stasim"]) if isinstance(stated, dict) else {}
    except (KeyError, TypeError, ValueError, RecursionError):
        found = {}
    return found if isinstance(found, dict) else {}


def _header_and_data(content: bytes) -> tuple[dict[str, Any], memoryview]:
    size = int.from_bytes(content[:8], "little")
    if not 0 < size <= len(content) - 8:
        raise ValueError("must be a safetensors file")
    try:
        header = json.loads(content[8 : 8 + size])
    except (ValueError, RecursionError):
        raise ValueError("must be a safetensors file") from None
    if not isinstance(header, dict):
        raise ValueError("must be a safetensors file")
    return header, memoryview(content)[8 + size :]


def _tensors_hash(header: Mapping[str, Any], data: memoryview) -> str:
    metadata = header.get(_METADATA)
    rest = {key: value for key, value in (metadata or {}).items() if key != SEAL}
    text = json.dumps({**header, _METADATA: rest}, sort_keys=True, separators=(",", ":"))
    digest = hashlib.sha256(text.encode())
    digest.update(data)
    return f"sha256:{digest.hexdigest()}"
