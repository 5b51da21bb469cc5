"""Search of a space of designs: python -m simulator.sweep SPACE.yaml --trace FILE --out DIR.

space.py reads what to search, strategies.py proposes points, evaluation.py simulates one as a
worker does, journal.py remembers what is done, search.py joins them; a SweepResult comes out.
"""
