"""The networks: one file a family, the layers and rows they share, their configs and weights."""
