"""A slice of a trace on both sides: the RTL's layer engine and the model, cycle for cycle."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

import numpy as np

from experiments.calibration.on_chip import ModelRun, run_on_chip
from experiments.calibration.reference import expected_results
from simulator.components.pe_arrays.spike_skip import SpikeSkip
from simulator.components.vector_units.simd import Simd
from simulator.hil.jobs import Job, layer_jobs
from simulator.hil.layer_design import STREAM_BITS
from simulator.hil.layer_engine import EngineRun, run_jobs
from simulator.lowering import Lowered, Plan
from simulator.trace import Image


class CaseComparison(NamedTuple):
    """One slice on both sides; `wrong`: results of the RTL that are not the expected ones."""

    jobs: list[Job]
    rtl: EngineRun
    model: ModelRun
    wrong: int

    @property
    def deviation(self) -> float:
        """Of the model's cycles from the RTL's, as a share of the RTL's."""
        return self.model.cycles / self.rtl.cycles - 1


def compare(
    plan: Plan,
    image: Image,
    lowered: Lowered,
    layers: Collection[str],
    timesteps: Collection[int],
) -> CaseComparison:
    """Run layers at timesteps on the RTL and on the model. Raises DeviceError."""
    jobs = layer_jobs(plan, image, layers, timesteps)
    rtl = run_jobs(plan.architecture, jobs)
    local_chunks = plan.architecture.dataflow.local_weight_chunks
    model = run_on_chip(lowered, model_steps(plan, layers, timesteps), local_chunks)
    return CaseComparison(jobs, rtl, model, wrong_results(plan, jobs, rtl))


def model_steps(plan: Plan, layers: Collection[str], timesteps: Collection[int]) -> set[int]:
    """The steps of these layers at these timesteps, with the mask scans that they need."""
    chosen = {
        index
        for index, step in enumerate(plan.steps)
        if step.kind == "matrix"
        and plan.layers[step.layer].layer.name in layers
        and step.timestep in timesteps
    }
    scans = {dep for index in chosen for dep in plan.steps[index].deps}
    return chosen | {dep for dep in scans if plan.steps[dep].kind == "scan"}


def wrong_results(plan: Plan, jobs: list[Job], rtl: EngineRun) -> int:
    """Spikes, scores, membranes and streams of the RTL that differ from the expected ones."""
    array, vector = plan.architecture.core.pe_array, plan.architecture.core.vector_unit
    assert isinstance(array, SpikeSkip)
    assert isinstance(vector, Simd)
    expected = expected_results(
        jobs, array.sum_bits, vector.membrane_bits, array.weight_bits, STREAM_BITS
    )
    last = {job.neurons: index for index, job in enumerate(jobs)}
    wrong = 0
    for index, (job, right) in enumerate(zip(jobs, expected, strict=True)):
        pairs = [(right.outputs, rtl.outputs[index]), (right.stream, rtl.streams[index])]
        if last[job.neurons] == index:
            pairs.append((right.membrane, rtl.membranes[index]))
        for wanted, found in pairs:
            if wanted is not None:
                wrong += np.size(wanted) if found is None else int(np.sum(wanted != found))
    return wrong
