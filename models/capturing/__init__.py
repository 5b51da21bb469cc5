"""Any network of PyTorch as a trace: its weighted sums, their operands bit for bit, and proofs.

from models.capturing import capture
capture(network, images, "net.npz")
"""

from models.capturing.api import capture
from models.capturing.marks import active, threshold

__all__ = ["active", "capture", "threshold"]
