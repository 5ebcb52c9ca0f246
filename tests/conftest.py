"""Warnings are errors here, but not those that BentoML raises about itself while it is imported."""

from __future__ import annotations

import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    import _bentoml_sdk
    import bentoml
    import bentoml.models

__all__ = ["_bentoml_sdk", "bentoml"]
