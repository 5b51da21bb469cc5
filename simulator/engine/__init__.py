"""The discrete-event engines: one meaning of a `Program`, written twice.

`reference.simulate` (SimPy) is the readable definition, `replay.replay` (Numba) the product; both
give the same `Timeline` for every operation. `attribution.stalls` reads a timeline and says what an
idle unit waited for.
"""
