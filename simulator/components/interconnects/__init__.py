"""Interconnects: what lies between cores, the global buffer and DRAM."""
