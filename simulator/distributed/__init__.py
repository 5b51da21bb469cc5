"""Many images on many workers: parts, executors, streamed results."""
