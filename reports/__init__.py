"""Figures and pages made from results, and from nothing else."""
