"""Where a batch runs: in this process, in several of this machine, or on a Ray cluster. Knows nothing of forecasts."""
