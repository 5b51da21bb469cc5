"""Capture a trace of a network on images: python -m models.capture --help."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from models.errors import ModelError
from models.networks.config import DATASETS, named_config, unknown
from models.networks.switches import add_switches, switches_asked
from models.threads import use_threads
from simulator.command import check_counts, check_target, command, program

if TYPE_CHECKING:
    from models.data.images import Images

EXAMPLE = """example:
  python -m models.capture --model stas_spikformer_4_384 --dataset cifar10 --images 20 \\
      --out traces/cifar10.npz
  python -m models.capture --model spikingformer_8_512 --dataset imagenet --images 1 \\
      --isps single_step --granularity block --out spikingformer.npz
  python -m models.capture --network mine:make_network --data pictures/ --mean 0.5 --std 0.2 \\
      --sequence --timesteps 4 --out mine.npz
"""
ACTIVE_TOKENS = 0.576
TIMESTEPS = 4
CALIBRATION_IMAGES = 32
# How many images the installed packages bundle.
BUNDLED_IMAGES = {
    "mnist": 1000,
    "digits": 355,
    "cifar10": 20,
    "cifar100": 20,
    "imagenet": 20,
}


def parser() -> argparse.ArgumentParser:
    """Return the command's options."""
    made = argparse.ArgumentParser(
        prog=program("models.capture"),
        description="Run a network on images; store which neurons spiked, which tokens ran.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = made.add_argument
    add(
        "--model",
        help="such as stas_spikformer_4_384, sdt_2_512 or stas_qkformer_10_384; stas_ stands for "
        "I-SPS and halting",
    )
    add_own(made)
    add("--dataset", help=f"{', '.join(DATASETS)}; without it --network reads images from --data")
    add("--out", required=True, type=Path, help="the trace to write, a .npz of any size")
    add(
        "--source",
        choices=("samples", "full"),
        default="samples",
        help="samples: pictures that installed packages bundle; full: the data set under --data",
    )
    add(
        "--data",
        type=Path,
        metavar="PATH",
        help="folder of the full data set, in torchvision's layout; without --dataset: a folder of "
        "pictures, or an .npy or .npz of arrays (image, ...)",
    )
    add(
        "--ragged", action="store_true", help="images may leave --network after different timesteps"
    )
    add("--images", type=int, default=20, help="how many, from the first on (default 20)")
    add(
        "--augmented",
        action="store_true",
        help="more --images than there are: go on with turned and shifted copies, named as such",
    )
    add(
        "--halting-threshold",
        type=float,
        help="of the accumulated score at which a token halts; only for a weights file, whose "
        "accuracy is then measured again (default: the file's, 0.99)",
    )
    add(
        "--weights",
        default="calibrated",
        help="calibrated (random weights, norms fitted to published firing rates; default), "
        "random, a .safetensors file, or a checkpoint of another code base (.pth, .tar); with "
        "--network and --nir: trained, if they are, else random (default)",
    )
    add("--baseline", action="store_true", help="the twin without I-SPS and halting")
    add("--timesteps", type=int, help="default 4, or the weights file's")
    add("--seed", type=int, default=0, help="of drawn weights (default 0)")
    add("--batch", type=int, default=8, help="images at a time (default 8)")
    add(
        "--active-tokens",
        type=float,
        default=ACTIVE_TOKENS,
        help="mean fraction of active tokens that calibration solves beta for (default 0.576)",
    )
    add(
        "--task",
        default="rows",
        help="of a sequential data set: rows, patches or first_of_two (default rows)",
    )
    add_switches(made)
    add("--threads", type=int, default=2, help="of torch (default 2)")
    return made


def add_own(made: argparse.ArgumentParser) -> None:
    """Add the options of networks that are not ours and of their images."""
    add = made.add_argument
    add(
        "--network",
        metavar="MODULE:NAME",
        help="instead of --model: a function without arguments that returns a network of PyTorch "
        "with its weights",
    )
    add("--nir", type=Path, metavar="FILE", help="instead of --model: a NIR graph")
    add("--nir-step-s", type=float, default=1e-4, help="of a NIR graph's neurons (default 1e-4)")
    add(
        "--sequence",
        action="store_true",
        help="--network takes (timestep, image, channel, h, w): each image is repeated",
    )
    add("--mean", type=float, nargs="+", default=(), help="of images of --data, by channel")
    add("--std", type=float, nargs="+", default=(), help="of images of --data, by channel")
    add("--time-axis", type=int, metavar="N", help="of one image of --data that changes in time")
    add(
        "--mask",
        action="append",
        default=[],
        metavar="BLOCK=MODULE",
        help="of --network: the module whose output says which tokens a block computes",
    )


@command("models.capture")
def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command."""
    options = parser().parse_args(arguments)
    print(capture(options))


def capture(options: argparse.Namespace) -> Path:
    """Make one trace as the options ask; raises SimulatorError for bad input and leaves no partial
    file.
    """
    check_counts(options, "images", "batch", "threads")
    check_target(options.out, "--out")
    if sum(each is not None for each in (options.model, options.network, options.nir)) != 1:
        raise ModelError("give one of --model, --network and --nir")
    own = options.dataset is None and options.model is None
    if own and options.data is None:
        raise ModelError("give --dataset, or the network's own images by --data")
    if options.dataset is None and not own:
        raise ModelError("--model needs --dataset")
    if not own and options.dataset not in DATASETS:
        raise ModelError(unknown("dataset", options.dataset, tuple(DATASETS)))
    if not own and (options.mean or options.std or options.time_axis is not None):
        raise ModelError("--mean, --std and --time-axis are of images of --data, without --dataset")
    if options.model is None:
        return capture_foreign(options)
    if options.ragged:
        raise ModelError("--ragged is of --network; --model leaves by --exit")
    switches = switches_asked(options)
    if options.baseline and (switches.halting or "isps" in switches.model):
        raise ModelError("--baseline has neither I-SPS nor halting; leave out their switches")
    timesteps = TIMESTEPS if options.timesteps is None else options.timesteps
    config = switches.applied(named_config(options.model, options.dataset, timesteps))
    use_threads(options.threads)
    from models.networks.arms import Setup, prepare
    from models.operations.writing import write_trace

    images = load_images(options)
    setup = Setup(
        config,
        options.dataset,
        options.weights,
        options.seed,
        options.active_tokens,
        options.baseline,
        options.data,
        options.halting_threshold,
        options.timesteps,
        switches,
    )
    arm = prepare(setup, images.first(CALIBRATION_IMAGES))
    write_trace(options.out, arm, images, options.dataset, options.batch)
    return Path(options.out)


def capture_foreign(options: argparse.Namespace) -> Path:
    """Make one trace of a network that is not ours, on images of its own or of a known data set."""
    if switches_asked(options).given or options.baseline:
        raise ModelError("--network and --nir have none of the switches of our networks")
    network, name = foreign_network_of(options)
    from models.capturing import capture as capture_any

    images, asked = options.data, own_asked(options)
    if options.dataset is not None:
        images = load_images(options)
        asked["sequence"] &= images.pixels.ndim == 4
        asked["timesteps"] = options.timesteps
        if options.timesteps is None and (asked["sequence"] or images.pixels.ndim == 5):
            asked["timesteps"] = TIMESTEPS
        asked |= {"dataset": options.dataset, "divisor": 256.0}
    return capture_any(network, images, options.out, name=name, ragged=options.ragged, **asked)


def own_asked(options: argparse.Namespace) -> dict[str, Any]:
    """Return what the options say to a capture of images that are not ours."""
    sequence = options.sequence or (options.nir is not None and options.time_axis is None)
    return {
        "timesteps": options.timesteps or (TIMESTEPS if sequence else None),
        "time_axis": options.time_axis,
        "sequence": sequence,
        "masks": masks_asked(options),
        "mean": options.mean,
        "std": options.std,
        "dataset": options.data.stem if options.data is not None else "",
        "origin": "trained" if options.weights == "trained" else "random",
        "limit": options.images,
        "seed": options.seed,
    }


def masks_asked(options: argparse.Namespace) -> dict[str, str]:
    """Return the module of each block's mask."""
    found = dict(each.partition("=")[::2] for each in options.mask)
    if not all(found) or not all(found.values()):
        raise ModelError(f"--mask {' '.join(options.mask)}", "must be BLOCK=MODULE")
    return found


def foreign_network_of(options: argparse.Namespace) -> tuple[Any, str]:
    """Return the network of --network or --nir, with its name, whose weights are its own."""
    if options.weights not in ("calibrated", "random", "trained"):
        raise ModelError("--weights of --network and --nir must be trained or random")
    use_threads(options.threads)
    from models.foreign.loading import foreign_network

    return foreign_network(options.network, options.nir, options.nir_step_s)


def load_images(options: argparse.Namespace) -> Images:
    """Return the images that the options name, shown in time where the data set is sequential."""
    from models.data.composites import TASKS
    from models.data.images import full_images, held_out_digits, sample_images
    from models.data.sources import read_source

    timesteps = TIMESTEPS if options.timesteps is None else options.timesteps
    if options.augmented:
        from models.data.augmenting import stretched

        plain = argparse.Namespace(**{**vars(options), "augmented": False})
        plain.images = min(options.images, BUNDLED_IMAGES[options.dataset])
        return stretched(load_images(plain), options.images, options.seed)
    if options.source == "full" or options.dataset == "cifar10dvs":
        if options.data is None:
            raise ModelError(f"{options.dataset} needs --data, the folder of the full data set")
        if options.dataset == "cifar10dvs":
            from models.data.events import event_frames

            return event_frames(options.data, timesteps, options.images)
        return full_images(options.dataset, options.data, options.images)
    if options.dataset.startswith(("mnist", "digits")):
        images = held_out_digits(options.dataset).first(options.images)
        if DATASETS[options.dataset].sequential:
            from models.data.sequences import in_time

            images = in_time(images, options.task, timesteps)
        return images
    if options.dataset in TASKS:
        source = read_source(options.dataset, None)
        return source.shown(source.held_out.first(options.images), timesteps)
    return sample_images(options.dataset, options.images)


if __name__ == "__main__":
    sys.exit(main())
