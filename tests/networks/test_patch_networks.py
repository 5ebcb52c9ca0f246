"""The networks over patches: what they are built for, and that nothing is lost on the way to the runner."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from torch import nn

from contracts import Grid, MemberSpec
from errors import ArtefactError
from features.filtered import knot_weights, unit
from features.spec import FEATURE_NAMES, ROW_WIDTHS, WINDOW_CHANNELS, WINDOW_STEPS
from networks.lstm import LstmForecaster
from networks.patchtsmixer import Mixer, PatchTsMixer
from networks.patchtst import PatchTst
from networks.quantile_head import Layout
from networks.transformer import TransformerForecaster
from runners.members import load_member
from training import export
from training.export import export_onnx, largest_difference

GRID = Grid((1, 5, 20), (0.05, 0.25, 0.5, 0.75, 0.95))
BASE = torch.tensor([[-1.6, -0.6, 0.0, 0.7, 1.6], [-1.5, -0.6, 0.1, 0.8, 1.7], [-1.4, -0.5, 0.2, 0.9, 1.8]])
UNIT = knot_weights(GRID.horizons)
LAYOUT = Layout(len(FEATURE_NAMES), WINDOW_STEPS, len(WINDOW_CHANNELS), BASE, torch.tensor(UNIT, dtype=torch.float32))
PATCHED = (PatchTst, PatchTsMixer)
NETWORKS = (*PATCHED, TransformerForecaster, LstmForecaster)
Build = Callable[[Layout], nn.Module]


def built(build: Build, seed: int = 1) -> nn.Module:
    """A network whose head has something to say."""
    torch.manual_seed(seed)
    network = build(LAYOUT)
    nn.init.normal_(network.head.last.weight, std=0.1)
    return network.eval()


def rows(n_rows: int, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).standard_normal((n_rows, ROW_WIDTHS["flat"]), np.float32))


@pytest.mark.parametrize("build", NETWORKS)
def test_untrained_it_answers_the_quantiles_of_the_volatility_ahead(build: Build):
    torch.manual_seed(0)
    volatility = unit(rows(3)[:, len(FEATURE_NAMES) - 4 : len(FEATURE_NAMES)].numpy(), UNIT)
    answer = build(LAYOUT).eval()(rows(3)).detach().numpy()
    assert_allclose(answer, BASE.numpy() * volatility[..., None], rtol=1e-5)


@pytest.mark.parametrize("build", NETWORKS)
def test_quantiles_never_cross(build: Build):
    answer = built(build)(10 * rows(200)).detach().numpy()
    assert answer.shape == (200, *GRID.shape)
    assert (np.diff(answer, axis=-1) > 0).all()


@pytest.mark.parametrize("build", PATCHED)
def test_channels_do_not_mix_before_the_head(build: Build):
    network = built(build)
    window = rows(2)[:, len(FEATURE_NAMES) :].reshape(2, WINDOW_STEPS, len(WINDOW_CHANNELS))
    changed = window.clone()
    changed[:, :, 1] += 1.0
    before, after = (network.encode(each).reshape(2, 3, -1).detach().numpy() for each in (window, changed))
    assert_array_equal(before[:, [0, 2]], after[:, [0, 2]])
    assert np.abs(before[:, 1] - after[:, 1]).max() > 1e-3


@pytest.mark.parametrize("build", PATCHED)
@pytest.mark.parametrize("bar", [0, 31, 63])
def test_every_bar_of_the_window_is_read(build: Build, bar: int):
    network, row = built(build), rows(1).requires_grad_()
    network(row).sum().backward()
    assert row.grad is not None
    gradient = row.grad[0, len(FEATURE_NAMES) :].reshape(WINDOW_STEPS, len(WINDOW_CHANNELS))
    assert (gradient[bar] != 0).all()


def test_patches_of_patchtst_overlap_and_are_neighbours():
    network = built(PatchTst)
    window = torch.arange(WINDOW_STEPS, dtype=torch.float32).repeat(1, 3, 1).transpose(1, 2)
    seen: list[torch.Tensor] = []
    network.embed.register_forward_hook(lambda _, given, out: seen.append(given[0]))
    network.encode(window)
    naive = [[float(start + i) for i in range(16)] for start in range(0, 49, 8)]
    assert_array_equal(seen[0][0].numpy(), naive)


def test_a_mixer_mixes_what_it_says():
    """Over patches: a patch changes the others, feature by feature. Over features: it changes only itself."""
    torch.manual_seed(3)
    tokens = torch.randn(1, 8, 16)
    changed = tokens.clone()
    changed[0, 2] += torch.randn(16)
    for mixer, others_move in ((Mixer(8, 16, True).eval(), True), (Mixer(16, 16, False).eval(), False)):
        moved = (mixer(tokens) - mixer(changed)).detach()[0].abs().sum(dim=1) > 1e-6
        assert moved[2]
        assert bool(moved[[0, 1, 3, 4, 5, 6, 7]].any()) is others_move


@pytest.mark.parametrize("build", NETWORKS)
def test_the_runner_answers_as_torch_does(build: Build, tmp_path: Path):
    network = built(build)
    path = tmp_path / "net.onnx"
    export_onnx(network, rows(32), path)
    spec = MemberSpec("net", "1", "net.onnx", "sha256:0", "onnx", "flat", ROW_WIDTHS["flat"])
    member, fresh = load_member(spec, GRID, path), rows(7, seed=9)
    assert_allclose(member.predict(fresh.numpy()), network(fresh).detach().numpy(), atol=1e-5)
    alone = np.concatenate([member.predict(fresh.numpy()[i : i + 1]) for i in range(7)])
    assert_allclose(member.predict(fresh.numpy()), alone, atol=1e-5)


@pytest.mark.parametrize(("build", "outputs"), [(PatchTst, 1), (PatchTsMixer, 1), (TransformerForecaster, 2)])
def test_only_the_transformer_has_a_second_output(build: Build, outputs: int, tmp_path: Path):
    export_onnx(built(build), rows(4), tmp_path / "net.onnx")
    names = [port.name for port in ort.InferenceSession(tmp_path / "net.onnx").get_outputs()]
    assert names == ["quantiles", "attention"][:outputs]


def test_a_graph_that_answers_something_else_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    network, other = built(PatchTst, seed=1), built(PatchTst, seed=2)
    export_onnx(network, rows(8), tmp_path / "net.onnx")
    assert largest_difference(network, rows(8), tmp_path / "net.onnx") < 1e-5
    assert largest_difference(other, rows(8), tmp_path / "net.onnx") > 1e-3
    monkeypatch.setattr(export, "TOLERANCE", -1.0)
    with pytest.raises(ArtefactError, match=r"net.onnx differs from the trained network"):
        export_onnx(network, rows(8), tmp_path / "net.onnx")
