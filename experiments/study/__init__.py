"""The study: what STAS, its parts and its controls cost on hardware, and the accuracy they keep."""
