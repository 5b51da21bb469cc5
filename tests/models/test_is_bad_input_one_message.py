"""The commands on bad input: one message, exit code 2, no traceback, nothing written."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from models import capture, make_traces, train

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


def test_a_missing_output_folder_is_said_before_any_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert capture.main(words({}, tmp_path / "no" / "t.npz")) == 2
    assert "its folder does not exist" in capsys.readouterr().err
    assert make_traces.main(["--out", str(tmp_path / "no")]) == 2
    assert "does not exist" in capsys.readouterr().err
    assert train.main(["--out", str(tmp_path / "no" / "w.safetensors")]) == 2
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


@pytest.mark.parametrize("module", ["models.capture", "models.train", "models.make_traces"])
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


@pytest.mark.parametrize("option", [["--epochs", "0"], ["--halting-epochs", "99"]])
def test_train_says_what_is_wrong(
    option: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train.main(["--out", str(tmp_path / "w.safetensors"), *option]) == 2
    assert option[0] in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
