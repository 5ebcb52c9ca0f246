"""Torch to ONNX, and the proof that nothing was lost on the way."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import onnxruntime as ort
import torch
from torch import Tensor, nn

from errors import ArtefactError

TOLERANCE = 1e-5


def export_onnx(network: nn.Module, sample: Tensor, path: Path) -> None:
    """Write ``network`` with input ``row`` and output ``quantiles``, any number of rows; raises ArtefactError unless
    ONNX Runtime answers ``sample`` as torch does within 1e-5."""
    network.eval()
    with warnings.catch_warnings():  # the exporter warns of its own future
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network,
            (sample,),
            str(path),
            input_names=["row"],
            output_names=["quantiles"],
            dynamic_axes={"row": {0: "n_rows"}, "quantiles": {0: "n_rows"}},
            opset_version=18,
            dynamo=False,
        )
    gap = largest_difference(network, sample, path)
    if not gap <= TOLERANCE:
        raise ArtefactError(f"{path.name} differs from the trained network by {gap:.2e}, more than {TOLERANCE:.0e}")


def largest_difference(network: nn.Module, sample: Tensor, path: Path) -> float:
    """Largest absolute difference between torch and ONNX Runtime over ``sample``, in z."""
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    with torch.no_grad():
        expected = network(sample).numpy()
    answered = session.run(["quantiles"], {"row": sample.numpy()})[0]
    return float(np.abs(expected - answered).max())
