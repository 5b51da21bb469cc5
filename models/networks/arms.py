"""An arm: a network made ready to run, its weights drawn, fitted or loaded, with what they are."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from models.calibration.calibrate import calibrate, random_weights
from models.data.composites import TASKS
from models.data.images import Images, full_images, mnist_digits
from models.data.sources import read_source
from models.errors import ModelError
from models.evaluate import evaluate
from models.networks.checkpoints import adopt, read_checkpoint
from models.networks.config import HaltingConfig, ModelConfig
from models.networks.norms import settle_norms
from models.networks.stas import STAS
from models.networks.switches import OF_MODEL, Switches
from models.networks.weights import load_weights, read_weights, weights_sha256

SETTLING_IMAGES = 4000
SWITCHES = ("timesteps", "pixel_scale", "image_mean", "image_std", *OF_MODEL)
TWIN_NOTE = (
    "A network and its baseline twin (no I-SPS, no halting) share every convolution and linear "
    "weight; batch-norms are set for each arm, since one pass and T passes of the patch splitting "
    "have other statistics."
)
IMAGE_NOTE = (
    "sps.image is the 8-bit image as stored; its scaling by 1/256 folds into the first convolution."
)
NORMALISED_NOTE = (
    "sps.image is the 8-bit image as stored; the network sees it scaled and, where it has a mean "
    "and a deviation, normalised, which a machine would fold into the first convolution."
)
CALIBRATED_NOTE = (
    "Random weights on 8-bit grids; batch-norms fitted on the images of this trace so that firing "
    "rates, over live rows, meet the published table. Predictions of such a network mean nothing."
)
RANDOM_NOTE = (
    "Random weights on 8-bit grids; batch-norms take the moments measured on the images of this "
    "trace."
)
TRAINED_NOTE = "Trained by models.train; weights on 8-bit grids."
UNFINISHED_NOTE = (
    "From a run of models.train that had not ended: weights on 8-bit grids, batch-norm statistics "
    "those of training; the accuracy is that of the weights before rounding."
)
FOREIGN_NOTE = "From a file that does not tell how it was trained."
ADOPTED_NOTE = (
    "From a checkpoint of another code base, whose pixels are normalised as in its published "
    "recipe; weights are as in the file, not rounded to the 8 bits that a trace counts."
)
SWITCHED_NOTE = (
    "Run with another halting threshold or number of timesteps than it was trained with; its "
    "accuracy was measured so."
)
OTHER_FORM_NOTE = (
    "Run with other switches than it was trained with; its accuracy was measured so. With another "
    "form of I-SPS its batch-norm statistics are re-estimated on training images."
)
# Mean and deviation of the pixels, 0..1, that published recipes normalise with.
PIXELS = {
    "cifar10": ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
    "cifar100": ((0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761)),
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
}
UNTRAINED_TWIN_NOTE = (
    "The twin was not trained: its batch-norm statistics are re-estimated on training images."
)


class Setup(NamedTuple):
    """Describe what to make ready.

    weights: `calibrated`, `random` or the path of a safetensors file.
    data: folder of the full data set, if given.
    halting_threshold, timesteps, switches: others than the file's; `config` has the switches.
    """

    config: ModelConfig
    dataset: str
    weights: str
    seed: int
    active_tokens: float
    baseline: bool
    data: Path | None
    halting_threshold: float | None = None
    timesteps: int | None = None
    switches: Switches = Switches({}, {})


class Prepared(NamedTuple):
    """Hold a network in evaluation mode, and the manifest's section `weights`."""

    model: STAS
    weights: dict[str, Any]


def prepare(setup: Setup, images: Images) -> Prepared:
    """Make the network of a setup ready; `images` are those to fit batch-norms on.

    Raises ModelError for a weights file that is missing or does not fit, and for targets that
    cannot be met.
    """
    if setup.weights not in ("calibrated", "random"):
        return _loaded(setup)
    if setup.halting_threshold is not None:
        raise ModelError("--halting-threshold needs a weights file: --weights FILE.safetensors")
    model = STAS(setup.config.baseline() if setup.baseline else setup.config)
    if setup.weights == "random":
        random_weights(model, images, setup.seed)
        return Prepared(model.eval(), _section(model, "random", setup.seed, None, RANDOM_NOTE))
    report = calibrate(model, images, setup.dataset, setup.seed, setup.active_tokens)
    section = _section(model, "calibrated", setup.seed, None, CALIBRATED_NOTE)
    return Prepared(model.eval(), section | {"calibration": report})


def _loaded(setup: Setup) -> Prepared:
    """Load a weights file's network, or its baseline twin, norms settled on training images."""
    path = Path(setup.weights)
    state, metadata, trained, note = _read(setup, path)
    config = setup.switches.applied(_switched(trained, setup))
    model = STAS(config.baseline() if setup.baseline else config)
    load_weights(model, state, path)
    model.eval()
    seed, accuracy = metadata.get("seed", 0), metadata.get("accuracy")
    if setup.baseline:
        settle_norms(model, training_images(setup))
        note = f"{note} {UNTRAINED_TWIN_NOTE}"
        accuracy = _measured(setup, model)
    elif config != trained:
        if (config.isps, config.integration) != (trained.isps, trained.integration):
            settle_norms(model, training_images(setup))
        note = f"{note} {OTHER_FORM_NOTE if setup.switches.given else SWITCHED_NOTE}"
        accuracy = _measured(setup, model)
    return Prepared(model, _section(model, "trained", seed, accuracy, note))


def _read(setup: Setup, path: Path) -> tuple[dict[str, Tensor], dict[str, Any], ModelConfig, str]:
    """Return a weights file's state under our names, metadata, the config it fits, and a note."""
    if path.suffix == ".safetensors":
        state, metadata = read_weights(path)
        note = TRAINED_NOTE if metadata else FOREIGN_NOTE
        if metadata.get("finished") is False:
            note = UNFINISHED_NOTE
        if not any(name.startswith("patch_embed") for name in state):
            return state, metadata, _config_of_file(setup, path, metadata), note
    else:
        state = read_checkpoint(path)
    config = setup.config.kind.fitted(setup.config, state)
    if setup.dataset in PIXELS:
        mean, std = PIXELS[setup.dataset]
        config = dataclasses.replace(
            config, pixel_scale=1.0 / 255.0, image_mean=mean, image_std=std
        )
    return adopt(state, config, path), {}, config, ADOPTED_NOTE


def _config_of_file(setup: Setup, path: Path, metadata: dict[str, Any]) -> ModelConfig:
    """Return the config of the setup with the switches that the file was trained with."""
    stated = (metadata.get("model", setup.config.name), metadata.get("dataset", setup.dataset))
    if stated != (setup.config.name, setup.dataset):
        raise ModelError(
            f"weights file {path} is of {stated[0]} on {stated[1]}, not of {setup.config.name} on "
            f"{setup.dataset}"
        )
    switches = metadata.get("config") or {}
    try:
        halting = HaltingConfig(**switches.get("halting", dataclasses.asdict(setup.config.halting)))
        known = {name: switches[name] for name in SWITCHES if name in switches}
        known |= {name: tuple(known[name]) for name in ("image_mean", "image_std") if name in known}
        return dataclasses.replace(setup.config, halting=halting, **known)
    except (TypeError, ValueError, AttributeError) as error:
        raise ModelError(
            f"weights file {path}: its config has unknown switches or values: {error}"
        ) from error


def _switched(config: ModelConfig, setup: Setup) -> ModelConfig:
    """Return the config with the halting threshold and the timesteps that were asked for."""
    if setup.timesteps is not None:
        config = dataclasses.replace(config, timesteps=setup.timesteps)
    if setup.halting_threshold is None:
        return config
    if not config.halts:
        raise ModelError("--halting-threshold", f"{config.name} does not halt tokens")
    # Rounded, so that 1 - 0.99 is the 0.01 that a file says.
    eps = round(1.0 - setup.halting_threshold, 12)
    halting = dataclasses.replace(config.halting, eps=eps)
    return dataclasses.replace(config, halting=halting)


def _measured(setup: Setup, model: STAS) -> dict[str, Any] | None:
    """Measure accuracy over held-out digits; None where no test images are at hand."""
    if setup.dataset == "mnist":
        return accuracy_of(model, mnist_digits()[1])
    if setup.dataset in TASKS:
        source = read_source(setup.dataset, None)
        return accuracy_of(model, source.shown(source.held_out, model.config.timesteps))
    return None


def switches_of(config: ModelConfig) -> dict[str, Any]:
    """Return the switches as a weights file keeps them."""
    return {name: getattr(config, name) for name in SWITCHES} | {
        "halting": dataclasses.asdict(config.halting)
    }


def training_images(setup: Setup) -> Images:
    """Return training images to settle batch-norms on; raises ModelError where there are none."""
    if setup.data is not None:
        return full_images(setup.dataset, setup.data, SETTLING_IMAGES, train=True)
    if setup.dataset == "mnist":
        return mnist_digits()[0]
    raise ModelError(
        f"the baseline twin of a weights file needs training images of {setup.dataset}: give --data"
    )


def accuracy_of(model: STAS, held_out: Images) -> dict[str, Any]:
    """Measure accuracy and active tokens over held-out digits, as files and traces state them."""
    metrics = evaluate(model, held_out)
    return {
        "test_top1": metrics.accuracy,
        "test_images": len(held_out.labels),
        "active_tokens": round(metrics.active_tokens, 6),
    }


def _section(
    model: STAS, origin: str, seed: int, accuracy: dict[str, Any] | None, note: str
) -> dict[str, Any]:
    """Return the manifest's section `weights`."""
    plain = model.config.pixel_scale == 1.0 / 256.0 and not model.config.image_mean
    return {
        "origin": origin,
        "seed": seed,
        "accuracy": accuracy,
        "sha256": weights_sha256(model),
        "notes": f"{note} {TWIN_NOTE} {IMAGE_NOTE if plain else NORMALISED_NOTE}",
    }
