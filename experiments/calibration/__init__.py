"""The calibration page: units and layers of the RTL alone, beside the model."""
