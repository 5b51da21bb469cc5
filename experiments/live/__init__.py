"""The live loop in our documents: its curve, its page, and training for one machine or another."""
