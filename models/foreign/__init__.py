"""Networks of other code bases as traces: any SpikingJelly network of known layers, NIR graphs.

from models.foreign import capture_network
capture_network("theirs.npz", network, images, timesteps=4)
"""

from models.foreign.capture import capture_network

__all__ = ["capture_network"]
