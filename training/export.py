"""Torch to ONNX, and the proof that nothing was lost on the way."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import onnxruntime as ort
import torch
from torch import Tensor, nn

from errors import ArtefactError
from networks.transformer import BothAnswers, TransformerForecaster
from runners.members import ATTENTION

TOLERANCE = 1e-5


def export_onnx(network: nn.Module, sample: Tensor, path: Path) -> None:
    """Write ``network`` with input ``row`` and output ``quantiles``, any number of rows, and a second output
    ``attention`` where the network is a Transformer; raises ArtefactError unless ONNX Runtime answers
    ``sample`` as torch does within 1e-5."""
    network.eval()
    shown, outputs = _shown(network)
    with warnings.catch_warnings():  # the exporter warns of its own future
        warnings.simplefilter("ignore")
        torch.onnx.export(
            shown,
            (sample,),
            str(path),
            input_names=["row"],
            output_names=outputs,
            dynamic_axes={name: {0: "n_rows"} for name in ("row", *outputs)},
            opset_version=18,
            dynamo=False,
        )
    gap = largest_difference(network, sample, path)
    if not gap <= TOLERANCE:
        raise ArtefactError(f"{path.name} differs from the trained network by {gap:.2e}, more than {TOLERANCE:.0e}")


def largest_difference(network: nn.Module, sample: Tensor, path: Path) -> float:
    """Largest absolute difference between torch and ONNX Runtime over ``sample``, in z or in weight."""
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    shown, outputs = _shown(network)
    with torch.no_grad():
        expected = shown(sample)
    answered = session.run(outputs, {"row": sample.numpy()})
    pairs = zip(expected if len(outputs) > 1 else (expected,), answered, strict=True)
    return max(float(np.abs(theirs.numpy() - ours).max()) for theirs, ours in pairs)


def _shown(network: nn.Module) -> tuple[nn.Module, list[str]]:
    """What is exported of a network, and the names of its outputs."""
    if isinstance(network, TransformerForecaster):
        return BothAnswers(network).eval(), ["quantiles", ATTENTION]
    return network, ["quantiles"]
