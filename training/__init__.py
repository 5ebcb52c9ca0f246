"""Fit, calibrate, evaluate, publish: each a small step of `make train`. Torch is needed here and nowhere else."""
