"""Is `stasim NAME` the module of that name, with the same options?"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from stasim.__main__ import COMMANDS, main
from tests.factories import tiny_trace
from tests.messages import said

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_says_how_it_is_used(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: stasim {name} ")


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from stasim.__main__ import main\n"
        "try: main(['run', '--help'])\nexcept SystemExit: pass\n"
        "print([m for m in ('numpy', 'numba', 'pandas', 'torch') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"


def test_the_list_of_commands_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert all(f"  {name} " in shown for name in COMMANDS)
    assert main([]) == 2
    assert main(["--version"]) == 0


def test_an_unknown_command_is_one_message(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rum"]) == 2
    assert said("a command almost right") in capsys.readouterr().err


def test_a_run_and_its_comparison(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trace = str(tiny_trace(tmp_path / "tiny.npz"))
    for name in ("sparse_pe", "dense_pe"):
        out = ["--out", str(tmp_path / name)]
        assert main(["run", "--arch", name, "--trace", trace, *out]) == 0
    results = [f"a={tmp_path / 'sparse_pe'}", f"b={tmp_path / 'dense_pe'}"]
    assert main(["compare", *results, "--out", str(tmp_path / "c.html")]) == 0
    assert main(["diff", str(tmp_path / "sparse_pe"), str(tmp_path / "dense_pe")]) == 0
    assert main(["machines", "sparse_pe"]) == 0
    assert "name: sparse_pe" in capsys.readouterr().out
    assert main(["run", "--arch", "sparse", "--trace", trace]) == 2
