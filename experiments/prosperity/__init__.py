"""Other people's accounting of a trace: what their simulators charge, and what they leave out.

`prosperity_compat` follows the rules of the public simulator of Prosperity (HPCA'25) for six
designs. Its figures are for comparison with that paper; our own accounting, which charges the
whole network, is `full`.
"""

from experiments.prosperity.cost import OperationCost
from experiments.prosperity.designs import DESIGNS, DesignRun, run_design
from experiments.prosperity.workload import Attention, Neurons, Operation, Product

__all__ = [
    "DESIGNS",
    "Attention",
    "DesignRun",
    "Neurons",
    "Operation",
    "OperationCost",
    "Product",
    "run_design",
]
