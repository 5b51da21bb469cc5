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
from tests.messages import cases, said

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


def words(changes: dict[str, str], out: Path) -> list[str]:
    return [word for pair in {**GOOD, **changes, "--out": str(out)}.items() for word in pair]


@cases("bad_capture")
def test_capture_says_what_is_wrong(
    changes: dict[str, str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert capture.main(words(changes, tmp_path / "t.npz")) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.startswith("models.capture: ")
    assert said.count("\n") == 1
    assert not list(tmp_path.iterdir())


@cases("bad_foreign_capture")
def test_capture_says_what_is_wrong_with_a_foreign_network(
    asked: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rest = ["--dataset", "cifar10", "--images", "1", "--out", str(tmp_path / "t.npz")]
    assert capture.main([*asked, *rest, "--threads", "1"]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_baseline_has_no_switches_of_stas(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = [*words({"--isps": "late_sum"}, tmp_path / "t.npz"), "--baseline"]
    assert capture.main(asked) == 2
    assert said("a switch of the baseline") in capsys.readouterr().err


def test_a_missing_output_folder_is_said_before_any_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert capture.main(words({}, tmp_path / "no" / "t.npz")) == 2
    assert said("an output without its folder") in capsys.readouterr().err
    assert make_traces.main(["--out", str(tmp_path / "no")]) == 2
    assert said("a file that is not there") in capsys.readouterr().err
    recipe = RECIPES / "digits.yaml"
    assert train.main(["--recipe", str(recipe), "--out", str(tmp_path / "no" / "run")]) == 2
    assert said("an output without its folder") in capsys.readouterr().err


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
    from models.operations.recording import RecordingProbe

    def interrupted(self: RecordingProbe, *rest: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(RecordingProbe, "record", interrupted)
    assert capture.main(words({}, tmp_path / "t.npz")) == 130
    assert said("a command that a signal ends") in capsys.readouterr().err
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


GOOD_RECIPE = {
    "dataset": "dataset: digits",
    "network": "network: {name: spikformer_2_64}",
    "batch": "batch: 16",
    "static": "static: {epochs: 1, learning_rate: 1.0}",
}


@cases("bad_recipe")
def test_train_says_what_is_wrong_with_a_recipe(
    text: str | None, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "recipe.yaml"
    if text is not None:
        kept = {k: line for k, line in GOOD_RECIPE.items() if f"{k}:" not in text}
        path.write_text("\n".join([*kept.values(), text] if ":" in text else [text]) + "\n")
    assert train.main(["--recipe", str(path), "--out", str(tmp_path / "run")]) == 2
    said = capsys.readouterr().err
    assert said.startswith("models.train: ")
    assert message in said
    assert said.count("\n") == 1
    assert not (tmp_path / "run").exists()


@cases("train_says_what_is_wrong_with_an_option")
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
    for stated, words, expected in (
        ({"schema": "stasim-checkpoint/1", "recipe": "x"}, ["--resume"], "of another recipe"),
        ({"schema": "stasim-checkpoint/2"}, ["--resume"], "is not a checkpoint"),
        ({}, [], "holds a run"),
    ):
        save_file({"order": torch.zeros(1)}, checkpoint, {"stasim": json.dumps(stated)})
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
