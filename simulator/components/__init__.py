"""The hardware library: one folder a slot, one file a part; see simulator.components.base."""
