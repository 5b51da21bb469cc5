"""How the manifest of a trace is parsed and hashed, and the limits of a trace."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any

from simulator.config.wording import one_line, shown
from simulator.errors import TraceError

SCHEMA = "stasim-trace/2"
FIRST_SCHEMA = "stasim-trace/1"
SCHEMAS = (FIRST_SCHEMA, SCHEMA)
# The roles of the four stages that version 1 knows; without blocks its stem is plain layers.
FIRST_ROLES = {"sps": "stem", "blocks": "blocks", "halting": "halting", "head": "head"}
# Limits that keep a hostile file cheap. The largest published network (8 blocks of 768 channels,
# 224 x 224 images) needs some 20 MiB an image and 100 members; 8 MiB of manifest hold the hashes of
# 10^5 images.
MANIFEST_LIMIT_BYTES = 8 << 20
IMAGE_LIMIT_BYTES = 256 << 20
MEMBER_LIMIT = 4096
_NESTING_LIMIT = 16
_JSON_RULE = "must be JSON in UTF-8 with finite numbers of 64 bits and no key twice"


def reason(fault: Exception) -> str:
    """Return what a fault of the standard library says, on one line of bounded length."""
    text = fault.strerror if isinstance(fault, OSError) and fault.strerror else str(fault)
    return " ".join(text.split())[:200] or type(fault).__name__


def canonical_json(manifest: Mapping[str, Any]) -> bytes:
    """Return the one spelling of a manifest: keys sorted, no blanks, ASCII."""
    return json.dumps(manifest, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def content_hash(manifest: Mapping[str, Any]) -> str:
    """Return the sha256 of the canonical JSON; the image hashes inside bind the data.

    `content_hash` is left out, `schema` counts as the first version's, and `stages` counts where it
    differs from what version 1 implies. So both versions of one content have one hash.
    """
    rest = {key: value for key, value in manifest.items() if key != "content_hash"}
    rest["schema"] = FIRST_SCHEMA
    if "stages" in rest and rest["stages"] == implied_stages(manifest):
        del rest["stages"]
    return f"sha256:{hashlib.sha256(canonical_json(rest)).hexdigest()}"


def implied_stages(manifest: Mapping[str, Any]) -> dict[str, str]:
    """Return the role of each stage that operations of version 1 name.

    The manifest may break every rule; what is no known stage is left out.
    """
    items = manifest.get("operations")
    stages = [each.get("stage") for each in _objects(items)]
    model = manifest.get("model")
    halting = model.get("halting") if isinstance(model, dict) else None
    halts = halting.get("granularity") != "none" if isinstance(halting, dict) else True
    plain = not halts and "blocks" not in stages and "halting" not in stages
    roles = FIRST_ROLES | ({"sps": "layers"} if plain else {})
    return {stage: role for stage, role in roles.items() if stage in stages}


def _objects(items: object) -> list[dict[str, Any]]:
    return [each for each in items if isinstance(each, dict)] if isinstance(items, list) else []


def parse_manifest(text: bytes, source: str) -> dict[str, Any]:
    """Return the JSON object in `text`, if of a known version; TraceError names `source`."""
    try:
        manifest = json.loads(
            text.decode("utf-8"),
            object_pairs_hook=_unique_keys,
            parse_int=_sixty_four_bits,
            parse_float=_finite,
            parse_constant=_finite,
        )
    except (ValueError, RecursionError) as error:
        raise TraceError(source, reason(error), _JSON_RULE) from error
    if _deeper_than(_NESTING_LIMIT, manifest):
        raise TraceError(source, f"must be nested at most {_NESTING_LIMIT} levels deep")
    if not isinstance(manifest, dict):
        raise TraceError(source, shown(manifest), "must be a JSON object")
    schema = manifest.get("schema")
    if schema not in SCHEMAS:
        rule = f"this program reads {' and '.join(map(repr, SCHEMAS))} only"
        raise TraceError(source, f"schema = {shown(schema)}", rule)
    return manifest


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, value in pairs:
        if key in result:
            raise ValueError(f"key {shown(key)} stands twice in one object")
        result[key] = value
    return result


def _sixty_four_bits(text: str) -> int:
    if len(text) > 20 or not -(2**63) <= int(text) < 2**63:
        raise ValueError(f"{one_line(text)} does not fit 64 bits")
    return int(text)


def _finite(text: str) -> float:
    if not math.isfinite(float(text)):
        raise ValueError(f"{one_line(text)} is not a finite number")
    return float(text)


def _deeper_than(levels: int, value: object) -> bool:
    if isinstance(value, dict):
        return levels == 0 or any(_deeper_than(levels - 1, child) for child in value.values())
    if isinstance(value, list):
        return levels == 0 or any(_deeper_than(levels - 1, child) for child in value)
    return False
