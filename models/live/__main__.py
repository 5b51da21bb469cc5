"""Run a network in the loop with a device: python -m models.live --help."""

from __future__ import annotations

import argparse
import contextlib
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from models.capture import (
    ACTIVE_TOKENS,
    CALIBRATION_IMAGES,
    TIMESTEPS,
    add_own,
    foreign_network_of,
    load_images,
    own_asked,
)
from models.errors import ModelError
from models.files import write_csv
from models.live.control import Budget, budget_of
from models.networks.config import DATASETS, named_config
from models.threads import use_threads
from simulator.command import add_overrides, check_counts, check_target, command, program
from simulator.errors import DeviceError
from simulator.hil.guarded import TIMEOUT_S

if TYPE_CHECKING:
    from models.live.running import LiveRun
    from simulator.hil.base import Device
    from simulator.hil.recorded import Recorder

EXAMPLE = """example:
  python -m models.live --arch arch_configs/sparse_pe.yaml --model stas_spikformer_2_128 \\
      --dataset mnist --weights models/weights/stas_spikformer_2_128_mnist.safetensors \\
      --images 20 --budget-ms 0.16

Each block's spikes and masks go to the device, and what the image has cost comes back before the
next block. With a budget the halting threshold is moved so that every image ends within it. The
simulated device tells, after each block, what the image would cost if every token halted there; at
the end that is what `python -m simulator.run` says of the run's trace, to the last bit.
"""
DEVICES = "simulated, rtl, host, or recorded:FILE"


def parser() -> argparse.ArgumentParser:
    """Return the command's options."""
    made = argparse.ArgumentParser(
        prog=program("models.live"),
        description="Run a network image by image in the loop with a device that tells its cost.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = made.add_argument
    add("--arch", help="architecture file (YAML) of a simulated or RTL device")
    add_overrides(made)
    add("--model", help="such as stas_spikformer_2_128")
    add_own(made)
    add("--dataset", help=f"of --model: {', '.join(DATASETS)}")
    add("--weights", default="calibrated", help="calibrated (default), random, or a file")
    add("--timesteps", type=int, help="default 4, or the weights file's")
    add("--seed", type=int, default=0, help="of drawn weights (default 0)")
    add("--active-tokens", type=float, default=ACTIVE_TOKENS,
        help="mean fraction of active tokens that calibration solves beta for")  # fmt: skip
    add("--source", choices=("samples", "full"), default="samples", help="as in models.capture")
    add("--data", type=Path, metavar="PATH",
        help="folder of the full data set; of --network: pictures, or an .npy or .npz of "
        "arrays")  # fmt: skip
    add("--images", type=int, default=20, help="how many, from the first on (default 20)")
    budget = made.add_mutually_exclusive_group()
    budget.add_argument("--budget-ms", type=float, help="for each image, in milliseconds")
    budget.add_argument("--budget-uj", type=float, help="for each image, in microjoules")
    add("--device", default="simulated",
        help=f"{DEVICES} (default simulated); rtl: blocks on compiled RTL, without DRAM and "
        "energy, the rest simulated")  # fmt: skip
    add("--timeout-s", type=float, default=TIMEOUT_S, help="for one answer of the device")
    add("--out", type=Path, help="write a row for each image there (.csv)")
    add("--trace", type=Path, help="write the run's trace there (.npz)")
    add("--record", type=Path, help="write the device's answers there (.json)")
    add("--threads", type=int, default=1, help="of torch (default 1)")
    return made


@command("models.live")
def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command."""
    options = parser().parse_args(arguments)
    run(options)


def run(options: argparse.Namespace) -> None:
    """Run as the options ask.

    Raises SimulatorError for bad input, and then wrote nothing; the device's own failure, after
    which nothing was steered, when all is written.
    """
    _check(options)
    if options.model is None:
        _run_own(options)
        return
    use_threads(options.threads)
    from models.live.running import LiveRun
    from models.networks.arms import Setup, prepare

    config = named_config(options.model, options.dataset, options.timesteps or TIMESTEPS)
    options.augmented = False
    images = load_images(options)
    setup = Setup(
        config,
        options.dataset,
        options.weights,
        options.seed,
        options.active_tokens,
        baseline=False,
        data=options.data,
        timesteps=options.timesteps,
    )
    live = LiveRun(prepare(setup, images.first(CALIBRATION_IMAGES)), images, options.dataset)
    budget = budget_of(options.budget_ms, options.budget_uj)
    device, recorder = _device(options, live)
    try:
        rows, failure = _fly(options, live, device, budget)
    finally:
        device.close()
    if options.out is not None:
        write_csv(options.out, rows)
    if recorder is not None and failure is None:
        recorder.save(options.record, _versions())
    print(summary(rows, budget, live.arm.weights["origin"] == "trained", device.name))
    if failure is not None:
        raise failure


def _run_own(options: argparse.Namespace) -> None:
    """Run a network that is not ours, on a simulated machine."""
    from models.live.captured import run_captured
    from simulator.architecture import load_architecture
    from simulator.hil.recorded import Recorder

    network, name = foreign_network_of(options)
    budget = budget_of(options.budget_ms, options.budget_uj)
    machine = load_architecture(options.arch, options.overrides)
    recorders: list[Recorder] = []

    def wrap(device: Device) -> Device:
        recorders.append(Recorder(device))
        return recorders[0]

    rows = run_captured(
        network,
        options.data,
        machine,
        budget,
        trace=options.trace,
        wrap=wrap if options.record is not None else lambda device: device,
        **{**own_asked(options), "name": name},
    )
    if options.out is not None:
        write_csv(options.out, rows)
    for recorder in recorders:
        recorder.save(options.record, _versions())
    print(summary(rows, budget, options.weights == "trained", f"simulated {machine.name}"))


def _check(options: argparse.Namespace) -> None:
    """Refuse options that no run can have."""
    check_counts(options, "images", "threads")
    for name in ("budget_ms", "budget_uj"):
        value = getattr(options, name)
        if value is not None and not (math.isfinite(value) and value > 0):
            raise ModelError(f"--{name.replace('_', '-')} is {value}; it must be above 0")
    for name in ("out", "trace", "record"):
        if getattr(options, name) is not None:
            check_target(getattr(options, name), f"--{name}")
    if sum(each is not None for each in (options.model, options.network, options.nir)) != 1:
        raise ModelError("give one of --model, --network and --nir")
    if options.model is not None and options.dataset is None:
        raise ModelError("--model needs --dataset")
    if options.model is None and (options.data is None or options.dataset is not None):
        raise ModelError("--network and --nir take their images from --data, without --dataset")
    if options.model is None and options.device != "simulated":
        raise ModelError(
            f"--device {options.device}: of --network and --nir must be simulated: RTL and "
            "recordings know the layers of this library alone, the host times those"
        )
    if options.device in ("simulated", "rtl") and options.arch is None:
        raise ModelError(f"--device {options.device} needs --arch, its architecture file")


def _device(options: argparse.Namespace, live: LiveRun) -> tuple[Device, Recorder | None]:
    """Return the device that --device names, behind a guard, and what records it."""
    from simulator.hil.guarded import GuardedDevice
    from simulator.hil.recorded import RecordedDevice, Recorder
    from simulator.hil.simulated import simulated_device

    kind, _, file = options.device.partition(":")
    device: Device
    if kind in ("simulated", "rtl") and not file:
        device = simulated_device(live.outline, options.arch, options.overrides)
        if kind == "rtl":
            from simulator.hil.divided import DividedDevice
            from simulator.hil.rtl import rtl_device

            rtl = rtl_device(live.outline, options.arch, options.overrides)
            device = DividedDevice(rtl, device)
    elif kind == "recorded" and file:
        device = RecordedDevice(file)
    elif kind == "host" and not file:
        from models.live.host import HostDevice

        device = HostDevice(live.model, live.topology)
    else:
        raise ModelError(f"unknown --device {options.device}; known are {DEVICES}")
    recorder = None
    if options.record is not None:
        device = recorder = Recorder(device)
    return GuardedDevice(device, options.timeout_s), recorder


def _fly(
    options: argparse.Namespace, live: LiveRun, device: Device, budget: Budget
) -> tuple[list[dict[str, Any]], DeviceError | None]:
    """Run all images; return their rows, and the device's failure."""
    from simulator.trace import open_writer

    rows: list[dict[str, Any]] = []
    trained = live.arm.weights["origin"] == "trained"
    opened: contextlib.AbstractContextManager[Any] = contextlib.nullcontext()
    if options.trace is not None:
        opened = open_writer(options.trace, live.manifest)
    with opened as writer:
        for flown in live.fly(device, budget):
            rows.append(flown.row)
            if writer is not None:
                shown = flown.prediction if trained else -1
                writer.add(*flown.recording, flown.row["label"], shown)
    return rows, live.failure


def summary(rows: list[dict[str, Any]], budget: Budget, trained: bool, device: str) -> str:
    """Return what the run comes to, a line each."""
    steered = [row for row in rows if row["steered"]]
    lines = [f"{len(rows)} images, {len(steered)} with the device {device}"]
    if trained:
        known = [row for row in rows if row["label"] >= 0]
        right = sum(row["label"] == row["prediction"] for row in known)
        lines.append(f"accuracy            {right / max(len(known), 1):.4f} of {len(known)}")
    tokens = sum(row["active_tokens"] for row in rows) / len(rows)
    lines.append(f"active tokens       {tokens:.1%}")
    for name, label in (("latency_ms", "latency"), ("energy_uj", "energy ")):
        values = [row[name] for row in steered if row[name] is not None]
        if values:
            unit = name.rpartition("_")[2].replace("uj", "uJ")
            mean, most = sum(values) / len(values), max(values)
            lines.append(f"{label}             mean {mean:.4g} {unit}, most {most:.4g} {unit}")
    if budget.limit is not None and steered:
        unit = budget.unit.replace("uj", "uJ")
        over = [row for row in steered if row["over_budget"] > 0]
        worst = max((row["over_budget"] for row in over), default=0.0)
        beyond = sum(not row["within_a_block"] for row in steered)
        below = sum(not row["feasible"] for row in steered)
        lines.append(
            f"budget {budget.limit:g} {unit}: {len(over)} images over it, by {worst:.4g} {unit} at "
            f"most; {beyond} by more than their last block; for {below} the stem and one block "
            "already cost more"
        )
    return "\n".join(lines)


def _versions() -> dict[str, str]:
    import torch

    import simulator

    return {"stasim": simulator.__version__, "torch": torch.__version__}


if __name__ == "__main__":
    sys.exit(main())
