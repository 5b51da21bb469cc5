"""Streams: images that arrive one after another and share the machine, as one event simulation."""
