"""Halting: scores, policies, controls, losses."""
