"""The hardware library: one folder a slot, one file a part; see simulator.components.base."""

from simulator.config.kernel_cache import use_kernel_cache

use_kernel_cache()
