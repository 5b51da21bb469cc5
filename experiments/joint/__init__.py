"""Model and machine chosen together: I-SPS, halting, timesteps, dataflow and buffers.

variants.py lists the networks, traces.py makes their traces, search.py runs the sweep and takes
means over seeds, page.py writes docs/joint.md.
"""
