"""Vector units: neurons, residuals, pooling and halting scores."""
