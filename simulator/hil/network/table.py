"""The error table of a network: rows by layer over some images, and what is wrong."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from simulator.architecture import Architecture
from simulator.errors import DeviceError
from simulator.hil.network.compare import Cycles, LayerCycles, image_cycles, wrong_values
from simulator.hil.network.engine import network_design, run_images
from simulator.hil.network.files import FixedFile
from simulator.hil.network.program import compile_network
from simulator.hil.network.twin import run_twin
from simulator.lowering import make_plan
from simulator.operations import read_network
from simulator.trace import Trace


class NetworkRow(NamedTuple):
    """Hold a line: a layer (or all) over all images; `worst`: its largest deviation in one."""

    case: str
    rtl: int
    model: int
    worst: float

    @property
    def deviation(self) -> float:
        """Of the model, as a share of the RTL's cycles."""
        return self.model / self.rtl - 1


class NetworkTable(NamedTuple):
    """Hold layers in order, then the image.

    right: images classified as their label says. wrong: values, masks and logits that are not the
    twin's. idle_scans: cycles of the model for masks without a live token, which the RTL does not
    scan. decision_cycles: of the RTL behind a decision's last vector, as the machine states them.
    """

    images: int
    right: int
    wrong: int
    rows: list[NetworkRow]
    idle_scans: int
    decision_cycles: int


def network_table(
    architecture: Architecture, content: FixedFile, trace: str, images: int
) -> NetworkTable:
    """Run images on the RTL, its twin and the simulator. `trace`: one of the same network.

    Raises DeviceError for what the RTL cannot run, and for a trace of another network.
    """
    design = network_design(architecture)
    compiled = compile_network(content.network, design.parameters)
    with Trace.open(trace) as opened:
        plan = make_plan(read_network(opened), architecture)
    pixels = list(content.images[:images])
    right, wrong, found = 0, 0, []
    for run, image, label in zip(
        run_images(architecture, compiled, pixels), pixels, content.labels, strict=False
    ):
        twin = run_twin(content.network, image, design.parameters["MEMBRANE_BITS"])
        absent = plan.network.tensors.keys() - twin.tensors.keys()
        if absent:
            raise DeviceError(
                trace, f"tensor {min(absent)}", f"a trace of {content.network.name} is needed"
            )
        right += int(run.logits.argmax() == label)
        wrong += sum(wrong_values(compiled, run, twin).values())
        found.append(image_cycles(plan, compiled, run, twin))
    return NetworkTable(
        len(pixels),
        right,
        wrong,
        list(_rows(found)),
        sum(each.idle_scans for each in found),
        architecture.core.vector_unit.halting_latency_cycles + _decision_excess(found),
    )


def _decision_excess(found: list[Cycles]) -> int:
    """Cycles by which a decision of the RTL takes longer than the model's, to the nearest."""
    excess = sum(
        layer.rtl - layer.model
        for cycles in found
        for name, layer in cycles.layers.items()
        if name.endswith(".halting")
    )
    return round(excess / sum(cycles.decisions for cycles in found))


def _rows(found: list[Cycles]) -> Iterable[NetworkRow]:
    rows: dict[str, Sequence[LayerCycles | Cycles]] = {
        name: [cycles.layers[name] for cycles in found] for name in found[0].layers
    }
    rows["whole image"] = found
    for name, each in rows.items():
        rtl, model = sum(one.rtl for one in each), sum(one.model for one in each)
        yield NetworkRow(name, rtl, model, max((one.deviation for one in each), key=abs))
