"""Arrays of processing elements: what multiplies weights and spikes."""
