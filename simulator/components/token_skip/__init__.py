"""Token-skip units: what happens to a token that has halted."""
