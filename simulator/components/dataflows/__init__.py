"""Dataflows: loop order, tiling, and what may overlap with what."""
