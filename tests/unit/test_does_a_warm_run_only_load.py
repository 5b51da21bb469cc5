"""Does a run whose kernels are compiled load them alone, without what compiling needs?"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
JOB = """\
import sys
from simulator.run import main
main(["--arch", "arch_configs/sparse_pe.yaml", "--trace", "traces/mnist.npz", "--images", "0:2"])
print(*sorted(sys.modules))
"""
COMPILING = ("scipy.linalg", "numba.np.arraymath", "numba.cpython.unicode")


def test_a_warm_run_imports_nothing_that_compiles() -> None:
    for _ in range(2):  # the first may have to compile
        run = subprocess.run([sys.executable, "-c", JOB], cwd=ROOT, capture_output=True, text=True)
        assert run.returncode == 0, run.stderr
    imported = run.stdout.splitlines()[-1].split()
    assert "numba" in imported
    assert [name for name in COMPILING if name in imported] == []
