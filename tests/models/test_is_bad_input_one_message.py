"""The commands on bad input: one message, exit code 2, no traceback, nothing written."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from experiments import make_traces
from models import capture, train
from models.data.sources import SOURCES
from models.training.loop import config_of
from models.training.recipe import FOLDER as RECIPES
from models.training.recipe import load_recipe

CONFIGS = {
    "mnist5k": "mnist",
    "digits_rows": "digits_sequential",
    "digits_first_of_two": "digits_sequential",
}
GOOD = {
    "--model": "stas_spikformer_2_256",
    "--dataset": "cifar10",
    "--weights": "random",
    "--images": "1",
    "--threads": "1",
}
BAD = {
    "unknown model": ({"--model": "stas_spikformer_4_385"}, "did you mean stas_spikformer_4_384?"),
    "model of another data set": ({"--model": "spikformer_8_512"}, "has no form for cifar10"),
    "unknown data set": ({"--dataset": "cifar11"}, "did you mean cifar10"),
    "no images": ({"--images": "0"}, "--images is 0"),
    "too many samples": ({"--images": "21"}, "bundles 20"),
    "no batch": ({"--batch": "0"}, "--batch is 0"),
    "no timesteps": ({"--timesteps": "0"}, "timesteps is 0"),
    "missing weights": ({"--weights": "nowhere.safetensors"}, "does not exist"),
    "full without folder": ({"--source": "full"}, "needs --data"),
    "missing folder": ({"--source": "full", "--data": "nowhere"}, "does not exist"),
    "no rates": (
        {"--model": "stas_spikformer_2_128", "--dataset": "mnist", "--weights": "calibrated"},
        "no firing rates",
    ),
    "no rates of a family": (
        {"--model": "qkformer_4_384", "--weights": "calibrated"},
        "no firing rates are published for qkformer on cifar10",
    ),
    "policy and granularity": ({"--policy": "entropy_exit"}, "must be timestep"),
    "budget": ({"--policy": "random", "--budget": "0.01"}, "must lie in 0.125..1"),
    "pool of another family": (
        {"--model": "sdt_2_256", "--pool": "after_lif"},
        "sdt has no such switch",
    ),
    "task": (
        {"--model": "spikformer_2_64", "--dataset": "digits_sequential", "--task": "columns"},
        "known: rows, patches, first_of_two",
    ),
    "events without folder": ({"--dataset": "cifar10dvs"}, "cifar10dvs needs --data"),
    "no such budget": ({"--weights": "calibrated", "--active-tokens": "1.5"}, "cannot be met"),
}


def words(changes: dict[str, str], out: Path) -> list[str]:
    return [word for pair in {**GOOD, **changes, "--out": str(out)}.items() for word in pair]


@pytest.mark.parametrize("case", BAD)
def test_capture_says_what_is_wrong(
    case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changes, expected = BAD[case]
    assert capture.main(words(changes, tmp_path / "t.npz")) == 2
    told = capsys.readouterr().err
    assert expected in told
    assert told.startswith("models.capture: ")
    assert told.count("\n") == 1
    assert not list(tmp_path.iterdir())


FOREIGN = {
    "no function": (["--network", "mine"], "must be MODULE:NAME"),
    "no module": (["--network", "no_such_module:make"], "No module named 'no_such_module'"),
    "no network": (["--network", "os:getcwd"], "it returned str, no network"),
    "two networks": (["--network", "a:b", "--nir", "c.nir"], "give one of"),
    "no graph": (["--nir", "nowhere.nir"], "does not exist"),
    "switches": (["--network", "os:getcwd", "--isps", "none"], "none of the switches"),
    "weights": (["--nir", "c.nir", "--weights", "x.pth"], "must be trained or random"),
    "nothing": ([], "give one of --model, --network and --nir"),
}


@pytest.mark.parametrize("case", FOREIGN)
def test_capture_says_what_is_wrong_with_a_foreign_network(
    case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked, expected = FOREIGN[case]
    rest = ["--dataset", "cifar10", "--images", "1", "--out", str(tmp_path / "t.npz")]
    assert capture.main([*asked, *rest, "--threads", "1"]) == 2
    told = capsys.readouterr().err
    assert expected in told
    assert told.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_baseline_has_no_switches_of_stas(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = [*words({"--isps": "late_sum"}, tmp_path / "t.npz"), "--baseline"]
    assert capture.main(asked) == 2
    assert "--baseline has neither I-SPS nor halting" in capsys.readouterr().err


def test_a_missing_output_folder_is_said_before_any_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert capture.main(words({}, tmp_path / "no" / "t.npz")) == 2
    assert "its folder does not exist" in capsys.readouterr().err
    assert make_traces.main(["--out", str(tmp_path / "no")]) == 2
    assert "does not exist" in capsys.readouterr().err
    recipe = RECIPES / "digits.yaml"
    assert train.main(["--recipe", str(recipe), "--out", str(tmp_path / "no" / "run")]) == 2
    assert "its folder does not exist" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"not a safetensors file", "is not a safetensors file"),
        ({"head.weight": torch.zeros(10, 256)}, "does not fit the model"),
        (("list", "[]"), "must be a JSON object"),
        (("other", '{"model": "stas_spikformer_4_384"}'), "is of stas_spikformer_4_384"),
        (("switch", '{"config": {"halting": {"speed": 1}}}'), "unknown switches"),
        (("value", '{"config": {"isps": "early"}}'), "unknown isps 'early'"),
    ],
    ids=["no safetensors", "other tensors", "list", "other model", "unknown switch", "bad value"],
)
def test_a_wrong_weights_file_is_said(
    content: object, expected: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "w.safetensors"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif isinstance(content, dict):
        save_file(content, path)
    else:
        assert isinstance(content, tuple)
        save_file({"head.weight": torch.zeros(1)}, path, {"stasim": content[1]})
    assert capture.main(words({"--weights": str(path)}, tmp_path / "t.npz")) == 2
    assert expected in capsys.readouterr().err
    assert [each.name for each in tmp_path.iterdir()] == ["w.safetensors"]


def test_an_interrupt_leaves_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from models.recording import RecordingProbe

    def interrupted(self: RecordingProbe, *rest: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(RecordingProbe, "record", interrupted)
    assert capture.main(words({}, tmp_path / "t.npz")) == 130
    assert "nothing was written" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("module", ["models.capture", "models.train", "experiments.make_traces"])
def test_help_needs_no_torch(module: str) -> None:
    code = (
        f"import sys, {module} as command\n"
        "try:\n    command.main(['--help'])\n"
        "except SystemExit as end:\n    assert end.code == 0\n"
        "assert 'torch' not in sys.modules"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "--out" in done.stdout


BAD_RECIPES = {
    "no file": (None, "cannot be read"),
    "no mapping": ("7", "must be a mapping of fields"),
    "unknown field": ("bach: 16", "bach: 16: unknown field (did you mean 'batch'?"),
    "twice": ("seed: 1\nseed: 2", "given twice"),
    "wrong type": ("batch: many", "must be a valid integer"),
    "no phase": ("static:", "must have a phase"),
    "bad schedule": ("static: {epochs: 1, learning_rate: 1.0, schedule: step}", "must be one of"),
    "no epochs": ("static: {epochs: 0, learning_rate: 1.0}", "must be greater than 0"),
    "unknown data": ("dataset: digit", "unknown data set (did you mean 'digits'?"),
    "data not bundled": ("dataset: cifar10", "give its folder by --data"),
    "unknown network": ("network: {name: stas_spikformer_2_65}", "did you mean"),
    "unknown switch": ("network: {name: spikformer_2_64, switches: {pol: 1}}", "unknown switch"),
    "bad switch": ("network: {name: spikformer_2_64, switches: {isps: early}}", "unknown isps"),
    "does not halt": (
        "network: {name: spikformer_2_64}\nhalting: {epochs: 1, learning_rate: 1.0}",
        "does not halt",
    ),
    "one step of warm-up": (
        "batch: 1442\nstatic: {epochs: 5, learning_rate: 1.0, schedule: one_cycle, warm_up: 0.2}",
        "exactly 1 of 5 steps",
    ),
}
GOOD_RECIPE = {
    "dataset": "dataset: digits",
    "network": "network: {name: spikformer_2_64}",
    "batch": "batch: 16",
    "static": "static: {epochs: 1, learning_rate: 1.0}",
}


@pytest.mark.parametrize("case", BAD_RECIPES)
def test_train_says_what_is_wrong_with_a_recipe(
    case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text, expected = BAD_RECIPES[case]
    path = tmp_path / "recipe.yaml"
    if text is not None:
        kept = {k: line for k, line in GOOD_RECIPE.items() if f"{k}:" not in text}
        path.write_text("\n".join([*kept.values(), text] if ":" in text else [text]) + "\n")
    assert train.main(["--recipe", str(path), "--out", str(tmp_path / "run")]) == 2
    told = capsys.readouterr().err
    assert told.startswith("models.train: ")
    assert expected in told
    assert told.count("\n") == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--seed", "-1"], "--seed is -1"),
        (["--threads", "0"], "--threads is 0"),
        (["--resume"], "holds no checkpoint.safetensors"),
        (["--start", "nowhere.safetensors"], "nowhere.safetensors: does not exist"),
        (["--device", "cuda"], "finds no GPU"),
    ],
)
def test_train_says_what_is_wrong_with_an_option(
    options: list[str], expected: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if "cuda" in options and torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    words = ["--recipe", str(RECIPES / "digits.yaml"), "--out", str(tmp_path / "run"), *options]
    assert train.main(words) == 2
    assert expected in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_run_is_not_overwritten_nor_another_resumed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = tmp_path / "checkpoint.safetensors"
    recipe = ["--recipe", str(RECIPES / "digits.yaml"), "--out", str(tmp_path)]
    for told, words, expected in (
        ({"schema": "stasim-checkpoint/1", "recipe": "x"}, ["--resume"], "of another recipe"),
        ({"schema": "stasim-checkpoint/2"}, ["--resume"], "is not a checkpoint"),
        ({}, [], "holds a run"),
    ):
        save_file({"order": torch.zeros(1)}, checkpoint, {"stasim": json.dumps(told)})
        assert train.main([*recipe, *words]) == 2
        assert expected in capsys.readouterr().err


def test_every_shipped_recipe_is_one() -> None:
    paths = sorted(RECIPES.glob("*.yaml"))
    assert len(paths) >= 19
    for path in paths:
        recipe = load_recipe(path)
        assert recipe.dataset in SOURCES
        config = config_of(recipe, CONFIGS.get(recipe.dataset, recipe.dataset))
        assert config.halts == (recipe.halting is not None)
