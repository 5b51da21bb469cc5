"""Results that are compared, image by image: which images they share, and ratios with intervals.

An image is itself by its place in one and the same trace; in different traces by its name in the
same split of the same data set. Means are compared over shared images only.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Hashable, Sequence

import numpy as np

from simulator.config.arrays import Floats
from simulator.errors import ResultError
from simulator.results.columns import Table, numbers, take, words
from simulator.results.result import Result
from simulator.results.schema import SCHEMAS
from simulator.streams.statistics import Estimate, student

_NAMED = 3


def shared(results: Sequence[Result], names: Sequence[str]) -> list[Result]:
    """Return the results over the images that all of them ran.

    `names`: of the results, for the ResultError that is raised where there is no such image.
    """
    keys = _keys(results)
    common = set(keys[0]).intersection(*keys[1:])
    if not common:
        facts = "; ".join(
            f"{name}: {_facts(result)}" for name, result in zip(names, results, strict=True)
        )
        raise ResultError(f"no image is in all of these, so they cannot be compared: {facts}")
    return [
        result if len(common) == result.images else only(result, [own[key] for key in common])
        for result, own in zip(results, keys, strict=True)
    ]


def only(result: Result, images: Collection[int]) -> Result:
    """Return the result of some of its images. A stream of all of them is left out."""
    tables: dict[str, Table] = {}
    for name, table in result.all_columns().items():
        if name == "stream" or name.startswith("stream_"):
            continue
        rows = (
            np.isin(numbers(table, "image"), [*images]) if SCHEMAS[name].per_image else slice(None)
        )
        tables[name] = take(table, rows)
    provenance = {name: facts for name, facts in result.provenance.items() if name != "stream"}
    return Result(provenance, tables)


def ratio(one: Result, other: Result, column: str) -> Estimate:
    """Return the mean of a column of `images` in one / in the other, with its paired interval.

    Both must hold the same images. Student's t of the residuals one - ratio x other (the ratio
    estimator of survey sampling): what makes an image long in both cancels out. Without bounds for
    one image, and NaN where the other's mean is 0.
    """
    (first, second) = (numbers(result.columns("images"), column) for result in _sorted(one, other))
    return ratio_of_means(first.astype(np.float64), second.astype(np.float64))


def ratio_of_means(first: Floats, second: Floats) -> Estimate:
    """Return mean(first) / mean(second) of paired values, with its interval."""
    below = math.fsum(second.tolist())
    if not below:
        return Estimate(math.nan, None, None)
    value = math.fsum(first.tolist()) / below
    if len(first) < 2:
        return Estimate(value, None, None)
    residuals = first - value * second
    error = math.sqrt(residuals.var(ddof=1) / len(first)) / (below / len(first))
    half = student(len(first) - 1) * error
    return Estimate(value, value - half, value + half)


def same_trace(results: Sequence[Result]) -> bool:
    """Return whether all ran one trace: the same images, weights and spikes."""
    return len({result.provenance["trace"]["content_hash"] for result in results}) == 1


def _keys(results: Sequence[Result]) -> list[dict[Hashable, int]]:
    """Return what each image is, and its number in its result."""
    if same_trace(results):
        return [
            {image: image for image in numbers(each.columns("images"), "image").tolist()}
            for each in results
        ]
    return [_names(each) for each in results]


def _names(result: Result) -> dict[Hashable, int]:
    """Return the images by data set, split and name, those whose name occurs once."""
    images, data = result.columns("images"), result.provenance["trace"]["dataset"]
    names = words(images, "image_id").tolist()
    counts = Counter(names)
    place = (data.get("name"), data.get("split"))
    return {
        (*place, name): image
        for name, image in zip(names, numbers(images, "image").tolist(), strict=True)
        if counts[name] == 1
    }


def _sorted(one: Result, other: Result) -> tuple[Result, Result]:
    """Return two results of the same images, which they list in the same order."""
    own, others = (list(keys) for keys in _keys((one, other)))
    if own != others:
        raise ResultError("the results must hold the same images in the same order")
    return one, other


def _facts(result: Result) -> str:
    images, trace = result.columns("images"), result.provenance["trace"]
    names = words(images, "image_id").tolist()
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    data = trace["dataset"].get("name", "unnamed data")
    return f"{data} images {', '.join(names[:_NAMED])}{more} of {trace['file']}"
