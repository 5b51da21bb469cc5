"""STASim's core: replays traces of spiking vision Transformers on described accelerators."""

__version__ = "0.2.0"
