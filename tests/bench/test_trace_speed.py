"""How long a trace takes to read: the first version against the second, by image and by batch.

`extra_info` (with --benchmark-json) has ms an image, MB/s of rows, and bytes of file and row.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from simulator.trace import Trace, TraceWriter
from tests.broken_traces import Unzipped

TRACES = Path(__file__).parents[2] / "traces"
BATCH_BYTES = 16 << 20


def copies(path: Path, name: str, least: int) -> Path:
    """A shipped trace with its images repeated until there are enough of them."""
    with Trace.open(TRACES / f"{name}.npz") as trace:
        manifest = trace.manifest
        count = max(least, trace.images)
        dataset = manifest["dataset"] | {"images": count, "image_ids": list(range(count))}
        with TraceWriter(path, manifest | {"dataset": dataset}) as writer:
            for index in range(count):
                image = trace.read(index % trace.images)
                writer.add(image.tensors, image.active, image.label, image.prediction)
    return path


@pytest.fixture(scope="module", params=["mnist", "cifar10", "imagenet"])
def files(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The same images in both versions, at least four of them."""
    folder, name = tmp_path_factory.mktemp("speed"), request.param
    second = copies(folder / "second.npz", name, 4)
    first = Unzipped.load(second).as_first().save(folder / "first.npz")
    return name, {"first": first, "second": second}


@pytest.mark.benchmark(group="reading a trace, all images")
@pytest.mark.parametrize("version", ["first", "second"])
@pytest.mark.parametrize("by", ["image", "batch"])
def test_reading(benchmark: Any, files: Any, version: str, by: str) -> None:
    name, paths = files
    with Trace.open(paths[version]) as trace:
        images, row_bytes = trace.images, trace.layout.image_bytes
        together = 1 if by == "image" else max(1, BATCH_BYTES // row_bytes)
        arena = trace.layout.new_arena(together)

        def read() -> int:
            return sum(
                len(trace.read_batch(range(at, min(at + together, images)), arena).index)
                for at in range(0, images, together)
            )

        assert benchmark(read) == images
    benchmark.extra_info |= {
        "trace": name,
        "images": images,
        "file_bytes_per_image": paths[version].stat().st_size // images,
        "row_bytes": row_bytes,
    }
    if benchmark.stats:  # absent where benchmarks run once, as tests
        seconds = benchmark.stats.stats.median / images
        benchmark.extra_info["ms_per_image"] = 1e3 * seconds
        benchmark.extra_info["mb_per_s"] = row_bytes / 1e6 / seconds


@pytest.mark.benchmark(group="opening a trace")
def test_opening(benchmark: Any, files: Any) -> None:
    path = files[1]["second"]
    benchmark(lambda: Trace.open(path).close())
