"""Memories: local buffers and DRAM."""
