"""The energy tables that come with the simulator: data only."""
