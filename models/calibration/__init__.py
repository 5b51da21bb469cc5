"""Random weights whose batch-norms are fitted so that firing rates meet a published table."""
