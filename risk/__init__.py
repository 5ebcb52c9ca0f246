"""Measures of risk, as pure functions over arrays. Losses are positive in value at risk and expected shortfall."""
