"""The PyTorch side of STASim: STAS on Spikformer, its training, its calibration and the capture of
traces.
"""
