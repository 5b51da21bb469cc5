"""The study: what STAS, its parts and its controls cost on hardware, and what they are worth."""
