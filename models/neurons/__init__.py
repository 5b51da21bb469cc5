"""The spiking neurons."""
