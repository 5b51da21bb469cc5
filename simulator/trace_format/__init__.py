"""How a trace lies in its file. Private to `simulator.trace`, which is the public face."""
