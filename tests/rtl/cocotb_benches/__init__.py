"""Test benches in cocotb; tests/rtl/test_do_cocotb_benches_pass.py builds and runs them."""
