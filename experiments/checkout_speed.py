"""What images cost in the checkout whose `simulator` is found first; run by experiments.speed.

Of the simulator it takes only what all versions have.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

from simulator.architecture import load_architecture
from simulator.simulate import Simulation
from simulator.trace import Trace


def median_ms(run: Callable[[int], object], repeats: int) -> float:
    """Return the median CPU milliseconds of some calls, each with its number."""
    found = []
    for number in range(repeats):
        start = time.process_time()
        run(number)
        found.append(1e3 * (time.process_time() - start))
    return statistics.median(found)


def measure(machine: str, trace: str, images: int, repeats: int) -> None:
    """Print CPU milliseconds, medians, of an image of a batch, alone, and alone with all opened.

    The last has its trace opened and the machine planned for it.
    """
    path = Path("traces") / f"{trace}.npz"
    architecture = load_architecture(Path("arch_configs") / f"{machine}.yaml")
    every = range(images)

    def opened(number: int) -> None:
        with Trace.open(path) as trace:
            Simulation(trace, architecture).run([number % images])

    with Trace.open(path) as held:
        simulation = Simulation(held, architecture)
        simulation.run(every)  # compiles
        batch = median_ms(lambda _: simulation.run(every), repeats) / images
        alone = median_ms(lambda number: simulation.run([number % images]), 3 * repeats)
    opened(0)
    print(json.dumps([batch, alone, median_ms(opened, repeats)]))
