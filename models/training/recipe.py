"""Recipes: what is trained on what, and how, from a small YAML file in models/recipes/.

    recipe = load_recipe("models/recipes/mnist5k.yaml")

Unknown fields, wrong types and values out of range are refused with file and line.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from models.errors import ModelError
from simulator.config.explain import report_errors
from simulator.config.located_yaml import read_document

FOLDER = Path(__file__).parents[1] / "recipes"
# How a run is computed and recorded, not what it computes: they may change when it goes on.
FREE = {"amp", "checkpoint_steps", "compile", "fused_neurons", "tensorboard", "workers"}


class _Section(BaseModel):
    """Hold a mapping of the file: frozen, no unknown fields, numbers finite."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Affine(_Section):
    """Describe a small turn, scaling, shear and shift, each uniform up to its reach, both ways."""

    rotation_degrees: float = Field(ge=0.0, le=180.0, description="largest turn")
    scaling: float = Field(ge=0.0, lt=1.0, description="largest relative change of size")
    shear: float = Field(ge=0.0, lt=1.0, description="largest shear")
    shift_pixels: float = Field(ge=0.0, description="largest shift along either axis")


class Augmentation(_Section):
    """Describe what happens to a training image, in this order; nothing by default."""

    affine: Affine | None = Field(None, description="turn, scale, shear, shift")
    resized_crop: float = Field(
        0.0, ge=0.0, le=1.0, description="least share of the area of a resized crop; 0: none"
    )
    crop_padding: int = Field(0, ge=0, description="zero-pad by so many pixels, crop at random")
    flip: bool = Field(False, description="mirror every other image")
    rand_augment: str = Field(
        "",
        pattern=r"^(rand(-(m\d+(\.\d+)?|n\d+|w\d|mstd\d+(\.\d+)?|inc[01]|mmax\d+|p\d+(\.\d+)?))*)?$",
        description="timm's RandAugment policy, such as rand-m9-n1-mstd0.4-inc1",
    )
    event_moves: bool = Field(
        False, description="move a recording: shear, shift, turn or a square without events"
    )
    erasing: float = Field(
        0.0, ge=0.0, le=1.0, description="chance of a rectangle of the mean pixel"
    )
    mixup: float = Field(0.0, ge=0.0, description="alpha of mixup's Beta(alpha, alpha); 0: none")
    cutmix: float = Field(0.0, ge=0.0, description="alpha of cutmix's Beta(alpha, alpha); 0: none")
    mix_probability: float = Field(1.0, ge=0.0, le=1.0, description="share of batches mixed")
    mix_switch: float = Field(
        0.5, ge=0.0, le=1.0, description="share of cutmix where both mixup and cutmix are on"
    )
    mix_off_epoch: int = Field(0, ge=0, description="epoch of a phase that ends mixing; 0: never")


class NetworkRecipe(_Section):
    """Describe the network: a name that `models.capture` knows, and switches of its config."""

    name: str = Field(description="such as stas_spikformer_2_128")
    timesteps: int = Field(4, ge=1, le=64, description="timesteps T")
    switches: dict[str, Any] = Field(default_factory=dict, description="fields of ModelConfig")
    halting: dict[str, Any] = Field(default_factory=dict, description="fields of HaltingConfig")


class Phase(_Section):
    """Describe epochs under one schedule: the rate rises over `warm_up`, then falls by a cosine."""

    epochs: int = Field(gt=0, description="passes over the training images")
    learning_rate: float = Field(gt=0.0, description="highest rate")
    weight_decay: float = Field(0.0, ge=0.0, description="AdamW's")
    optimizer: Literal["adamw", "lamb"] = Field("adamw", description="torch's AdamW, timm's Lamb")
    schedule: Literal["cosine", "one_cycle", "cosine_by_epoch"] = Field(
        "cosine",
        description="linear warm-up, then cosine to 0; torch's OneCycleLR; or timm's cosine, "
        "whose rate changes once an epoch",
    )
    warm_up: float = Field(0.0, ge=0.0, lt=1.0, description="share of the phase's steps")
    warm_up_rate: float = Field(0.0, ge=0.0, description="of cosine_by_epoch: the first rate")
    least_rate: float = Field(0.0, ge=0.0, description="of the cosines: the last rate")
    cool_down_epochs: int = Field(
        0, ge=0, description="of cosine_by_epoch: epochs at the least rate, beyond `epochs`"
    )

    @model_validator(mode="after")
    def _rates_have_a_schedule(self) -> Self:
        if (self.warm_up_rate or self.cool_down_epochs) and self.schedule != "cosine_by_epoch":
            raise ValueError(
                "warm_up_rate and cool_down_epochs belong to schedule cosine_by_epoch; schedule is "
                f"{self.schedule}"
            )
        if self.least_rate and self.schedule == "one_cycle":
            raise ValueError("least_rate belongs to the cosine schedules; schedule is one_cycle")
        return self

    @property
    def length(self) -> int:
        """Count the epochs with the cool-down."""
        return self.epochs + self.cool_down_epochs


class HaltingPhase(Phase):
    """Describe a phase in which tokens halt, after the static one."""

    ponder: float = Field(0.0, ge=0.0, description="weight of the ponder cost, of all checks")
    prior: float = Field(0.0, ge=0.0, description="weight of the divergence from the prior")
    prior_mean: float = Field(0.5, ge=0.0, le=1.0, description="its mean, of all checks")
    prior_deviation: float = Field(0.25, gt=0.0, description="its deviation, of all checks")
    survival: float = Field(
        0.0, ge=0.0, description="weight of the share of tokens expected to run, by survival"
    )
    survival_target: float = Field(
        0.0, ge=0.0, le=1.0, description="the share under which that costs nothing"
    )
    active_tokens: float = Field(1.0, gt=0.0, le=1.0, description="budget it begins with")


class Recipe(_Section):
    """Describe a training run; equal recipes on one machine and torch give the same weights."""

    dataset: str = Field(description="a source of images, see models/data/sources.py")
    network: NetworkRecipe = Field(description="what is trained")
    seed: int = Field(0, ge=0, description="of weights, order and augmentation")
    batch: int = Field(gt=0, description="images a step, over all processes")
    smoothing: float = Field(0.0, ge=0.0, lt=1.0, description="label smoothing")
    amp: bool = Field(False, description="bfloat16 products on a GPU")
    clip_norm: float = Field(0.0, ge=0.0, description="largest norm of the gradients; 0: any")
    accumulate: int = Field(1, gt=0, description="parts that a batch is computed in")
    repeats: int = Field(1, gt=0, description="times that an image appears in a row of batches")
    average: float = Field(
        0.0, ge=0.0, lt=1.0, description="decay of a moving average of the weights; 0: none"
    )
    augmentation: Augmentation = Field(default_factory=Augmentation, description="of images")
    static: Phase | None = Field(None, description="the phase without halting")
    halting: HaltingPhase | None = Field(None, description="the phase with halting")
    checkpoint_steps: int = Field(200, gt=0, description="steps between checkpoints")
    workers: int = Field(0, ge=0, description="processes that prepare batches ahead; 0: none")
    compile: bool = Field(False, description="torch.compile the phase without halting")
    fused_neurons: bool = Field(
        False, description="SpikingJelly's kernels for neurons: for a GPU; slower on a CPU"
    )
    tensorboard: bool = Field(False, description="write events for TensorBoard too")

    @model_validator(mode="after")
    def _has_a_phase(self) -> Recipe:
        if self.static is None and self.halting is None:
            raise ValueError("must have a phase: static, halting or both")
        return self

    @property
    def phases(self) -> tuple[Phase, ...]:
        """Return the phases that there are, in order."""
        return tuple(phase for phase in (self.static, self.halting) if phase is not None)

    @property
    def content_hash(self) -> str:
        """Return `sha256:<hex>` of the canonical JSON of all fields but those of FREE.

        A run goes on where another recipe differs in those alone. `event_moves`, younger than
        checkpoints that are about, is left out where it is off.
        """
        fields = self.model_dump(mode="json", exclude=FREE)
        if not self.augmentation.event_moves:
            del fields["augmentation"]["event_moves"]
        text = json.dumps(fields, sort_keys=True)
        return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def load_recipe(path: str | Path) -> Recipe:
    """Read and validate a recipe; raises ModelError that lists every problem, one a line."""
    document = read_document(path)
    recipe = None
    if document.data is not None:
        try:
            recipe = Recipe.model_validate(document.data)
        except ValidationError as error:
            report_errors(document, error, Recipe)
    if recipe is None or document.problems:
        raise ModelError(document.message())
    return recipe
