"""A trained network in fixed point: its twin in numpy, and the RTL that runs it."""
