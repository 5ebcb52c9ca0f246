"""Torch architectures, for training only. Each maps flat input rows (n_rows, row_width) to z quantiles."""
