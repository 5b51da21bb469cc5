"""Networks of the published sizes at published firing rates: baseline, I-SPS alone, STAS.

Weights are calibrated, not trained: costs at those rates, no accuracy.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from experiments.study.arithmetic import savings
from experiments.study.hardware import DATAFLOWS, simulate
from experiments.study.imposed import impose
from experiments.study.tables import PUBLISHED, write_tables
from models.networks.config import HaltingConfig, ModelConfig, named_config

TRACES = Path(__file__).parents[2] / "traces"
ACTIVE_TOKENS = 0.576
SHARES = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
RATIOS = ("latency_cycles", "energy_pj")


class PublishedNetwork(NamedTuple):
    """A published size, and the shipped traces of it if there are any.

    `images`: how many are simulated, the same in all three arms; `fitted`: how many the made
    traces' batch-norms are fitted on.
    """

    name: str
    title: str
    model: str
    dataset: str
    images: int
    fitted: int
    shipped: str | None


NETWORKS = (
    PublishedNetwork(
        "cifar_4_384", "CIFAR-10, 4-384", "stas_spikformer_4_384", "cifar10", 4, 20, "cifar10"
    ),
    PublishedNetwork(
        "cifar_2_512", "CIFAR-10, 2-512", "stas_spikformer_2_512", "cifar10", 4, 4, None
    ),
    PublishedNetwork(
        "imagenet_8_512", "ImageNet, 8-512", "stas_spikformer_8_512", "imagenet", 1, 1, "imagenet"
    ),
)
ARMS = {
    "baseline": "baseline, T = 4",
    "isps": "I-SPS B alone",
    "stas": "I-SPS B + two-dimensional",
}


def write_published(work: Path, out: Path, *, quick: bool) -> None:
    """Write published.csv, counts, sweep.csv and spikingformer.csv; made traces are kept in work.

    `quick`: the first network only, one image, two shares.
    """
    networks = (NETWORKS[0]._replace(images=1, fitted=1),) if quick else NETWORKS
    costs: list[dict[str, Any]] = []
    counts: list[dict[str, Any]] = []
    sweep: list[dict[str, Any]] = []
    for network in networks:
        for arm in ARMS:
            print(f"published: {network.name}, {arm}", file=sys.stderr)
            trace = trace_of(network, arm, work)
            here = {"network": network.name, "arm": arm}
            found = simulate(trace, images=network.images)
            costs += [here | row for row in found[0]]
            counts += [here | row for row in found[1]]
        standing = {
            (row["machine"], row["dataflow"]): row
            for row in costs
            if (row["network"], row["arm"]) == (network.name, "isps")
        }
        shares = SHARES[::4] if quick else SHARES
        sweep += list(swept(network, work, shares, standing))
    savings_found = [saving._asdict() for saving in savings()]
    write_tables(out, dict(zip(PUBLISHED, (savings_found, costs, counts, sweep), strict=True)))


def trace_of(network: PublishedNetwork, arm: str, work: Path) -> Path:
    """A shipped trace, or one that is calibrated and captured now, unless it was before."""
    if network.shipped is not None and arm != "isps":
        return TRACES / f"{network.shipped}{'_baseline' if arm == 'baseline' else ''}.npz"
    path = work / f"{network.name}_{arm}.npz"
    if path.exists():
        return path
    from models.data.images import sample_images
    from models.networks.arms import Setup, prepare
    from models.operations.writing import write_trace

    images = sample_images(network.dataset, network.fitted)
    setup = Setup(
        config_of(network, arm), network.dataset, "calibrated", 0, ACTIVE_TOKENS, False, None
    )
    arm_made = prepare(setup, images)
    write_trace(path, arm_made, images.first(network.images), network.dataset, 4)
    return path


def config_of(network: PublishedNetwork, arm: str) -> ModelConfig:
    """The network's config with what the arm has of STAS."""
    config = named_config(network.model, network.dataset)
    if network.shipped is not None:  # its traces multiply queries and keys first, at any size
        config = dataclasses.replace(config, attention_order="scores_first")
    if arm == "baseline":
        return config.baseline()
    return config if arm == "stas" else dataclasses.replace(config, halting=HaltingConfig())


def swept(
    network: PublishedNetwork,
    work: Path,
    shares: tuple[float, ...],
    standing: dict[Any, dict[str, Any]],
) -> Iterator[dict[str, Any]]:
    """The costs of I-SPS with halting imposed, for each share of active tokens.

    `standing`: those of the same network without halting, by machine and dataflow; the ratios are
    to the same dataflow.
    """
    from models.data.images import sample_images

    source, config = trace_of(network, "isps", work), config_of(network, "isps")
    images = sample_images(network.dataset, network.images)
    for share in shares:
        path = work / f"{network.name}_imposed.npz"
        impose(source, path, config, share, images)
        for row in simulate(path, DATAFLOWS[:1])[0]:
            before = standing[row["machine"], row["dataflow"]]
            ratios = {f"{name}_ratio": row[name] / before[name] for name in RATIOS}
            yield {"network": network.name, "share": share, **row, **ratios}
        path.unlink()
