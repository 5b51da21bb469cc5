# %% [markdown]
# # Cycles and energy of your network in five minutes
#
# A percent script: VS Code, Spyder and Jupyter (with jupytext) run it cell by cell, `python` as a whole.
# The network is a small one with a depthwise convolution; put yours in its place.

# %%
import torch
from spikingjelly.activation_based import functional, layer, neuron
from torch import nn

import stasim

torch.manual_seed(0)


def lif() -> nn.Module:
    return neuron.LIFNode(v_threshold=0.1)


network = nn.Sequential(
    layer.Conv2d(3, 16, 3, padding=1), lif(),
    layer.Conv2d(16, 16, 3, padding=1, groups=16), lif(),
    layer.Conv2d(16, 32, 1), lif(),
    layer.MaxPool2d(2, 2), layer.Flatten(), layer.Linear(32 * 8 * 8, 10), lif(),
)  # fmt: skip
functional.set_step_mode(network, "m")

# %% [markdown]
# ## Capture
#
# Any Dataset, DataLoader, tensor, folder of pictures or file of arrays will do; here four random pictures. The
# network takes time first, so each picture is repeated. What the trace holds is proven while it is made.

# %%
pictures = torch.randint(0, 256, (4, 3, 16, 16), dtype=torch.uint8)
trace = stasim.capture(
    network, pictures, timesteps=4, sequence=True, mean=0.4, std=0.2, name="mine"
)
trace.manifest["capture"]["proof"]

# %% [markdown]
# ## Simulate
#
# A machine is a shipped name (`stasim.machines()` lists them), a YAML file, a dict or an `Architecture`.
# Any field is replaced by name, as `--set` does on the command line.

# %%
result = stasim.simulate(trace, "sparse_pe", clock_mhz=800)
result

# %% [markdown]
# ## Look
#
# Every number is in a tidy table; `docs/metrics.md` defines the columns. First whether the network fires at all:
# a silent layer costs next to nothing, and says nothing.

# %%
firing = result.tables["firing"].groupby("tensor", sort=False)[["nonzero", "live"]].sum()
firing["rate"] = firing.nonzero / firing.live
firing

# %%
layers = result.tables["layers"].groupby("layer", sort=False)
layers[["pe_busy_cycles", "useful_accumulations", "dram_bytes", "energy_pj"]].mean()

# %%
stasim.plots.energy(result)

# %% [markdown]
# `result.save("mine")` writes it all; `stasim.load_result("mine")` brings it back, and `stasim compare mine ...`
# sets it beside others.
