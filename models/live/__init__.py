"""The live loop: a running network, a device that says what it has cost, and a budget to keep."""
