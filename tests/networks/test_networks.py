"""Quantiles that cannot cross, a start from the base table, and graphs that say what torch says."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from torch import nn

from errors import ArtefactError
from networks.lstm import LstmForecaster
from networks.quantile_head import Layout, QuantileHead
from networks.transformer import TransformerForecaster
from training import export
from training.export import TOLERANCE, export_onnx, largest_difference

BASE = torch.tensor([[-1.7, -0.6, 0.1, 0.7, 1.6], [-1.5, -0.5, 0.2, 0.8, 1.9]])
UNIT = torch.tensor([[0.1, 0.0], [0.05, 0.2]])  # by the last two features
LAYOUT = Layout(n_features=3, n_steps=8, n_channels=2, base=BASE, unit=UNIT)
WIDTH = 3 + 8 * 2
NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "lstm": lambda: LstmForecaster(LAYOUT, hidden=4),
    "transformer": lambda: TransformerForecaster(LAYOUT, patch=4, width=8, heads=2, layers=1),
}


def rows(n_rows, seed=0, scale=1.0):
    return scale * torch.randn(n_rows, WIDTH, generator=torch.Generator().manual_seed(seed))


def shaken(name, scale=0.5):
    """A network whose every weight is random, as if training had taken it anywhere."""
    torch.manual_seed(3)
    network = NETWORKS[name]().eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(scale * torch.randn_like(parameter))
    return network


@pytest.mark.parametrize("name", NETWORKS)
def test_an_untrained_network_answers_the_base_table_times_the_volatility_ahead(name):
    with torch.no_grad():
        answer = NETWORKS[name]().eval()(rows(5))
    volatility = torch.exp(rows(5)[:, 1:3] @ UNIT)
    torch.testing.assert_close(answer, BASE * volatility[..., None], rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("scale", [0.5, 5.0])
def test_quantiles_never_cross(name, scale):
    with torch.no_grad():
        answer = shaken(name, scale)(rows(64, scale=4.0))
    assert answer.shape == (64, 2, 5)
    assert torch.isfinite(answer).all()
    assert (answer.diff(dim=-1) >= 0).all()
    assert answer.std(dim=0).min() > 0


@pytest.mark.parametrize("name", NETWORKS)
def test_a_row_does_not_depend_on_its_batch(name):
    network = shaken(name)
    with torch.no_grad():
        together, alone = network(rows(7)), torch.cat([network(row[None]) for row in rows(7)])
    torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("column", [0, 2, 3, WIDTH - 1])
def test_every_part_of_the_row_is_read(name, column):
    """First and last feature, oldest and newest bar."""
    changed = rows(4)
    changed[:, column] += 1.0
    network = shaken(name)
    with torch.no_grad():
        assert (network(changed) != network(rows(4))).any(dim=(1, 2)).all()


def test_a_row_is_split_as_feature_matrices_are_flattened():
    tabular, window = LAYOUT.split(torch.arange(2 * WIDTH, dtype=torch.float32).reshape(2, WIDTH))
    assert tabular[0].tolist() == [0, 1, 2]
    assert window.shape == (2, 8, 2)
    assert window[0, 0].tolist() == [3, 4]
    assert window[1, -1].tolist() == [2 * WIDTH - 2, 2 * WIDTH - 1]


def test_the_order_of_the_bars_matters():
    tabular, window = LAYOUT.split(rows(4))
    reversed_rows = torch.cat([tabular, window.flip(1).reshape(4, -1)], dim=1)
    for name in NETWORKS:
        network = shaken(name)
        with torch.no_grad():
            assert not torch.allclose(network(reversed_rows), network(rows(4)))


def test_scale_widens_and_shift_moves_the_head():
    head = QuantileHead(4, BASE, UNIT).eval()
    with torch.no_grad():
        head.last.bias.view(2, 6)[:, 1] = np.log(2)  # scale
        head.last.bias.view(2, 6)[:, 0] = 0.25  # shift of the median
        answer = head(torch.zeros(1, 4))[0]
    torch.testing.assert_close(answer - answer[:, 2:3], 2 * (BASE - BASE[:, 2:3]))
    torch.testing.assert_close(answer[:, 2], BASE[:, 2] + 0.25)


@pytest.fixture(scope="module", params=NETWORKS)
def exported(request, tmp_path_factory):
    network, path = shaken(request.param, 0.1), tmp_path_factory.mktemp("graphs") / "network.onnx"
    export_onnx(network, rows(6), path)
    return network, path


def test_the_graph_says_what_torch_says_for_any_number_of_rows(exported):
    network, path = exported
    for n_rows in (1, 6, 33):
        assert largest_difference(network, rows(n_rows, seed=n_rows), path) <= TOLERANCE


def test_a_changed_weight_shows(exported, tmp_path):
    network, path = exported
    graph = onnx.load(path)
    tensor = max(graph.graph.initializer, key=lambda each: np.prod(each.dims))
    values = numpy_helper.to_array(tensor).copy()
    values.flat[0] += 0.05
    tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    onnx.save(graph, tmp_path / "changed.onnx")
    assert largest_difference(network, rows(33), tmp_path / "changed.onnx") > TOLERANCE


def test_a_graph_that_differs_from_its_network_is_refused(monkeypatch, tmp_path):
    monkeypatch.setattr(export, "largest_difference", lambda *_: 2e-5)
    with pytest.raises(ArtefactError, match=r"network\.onnx differs from the trained network by 2\.00e-05"):
        export_onnx(shaken("lstm"), rows(6), tmp_path / "network.onnx")


def test_a_graph_that_answers_nan_is_refused(monkeypatch, tmp_path):
    monkeypatch.setattr(export, "largest_difference", lambda *_: float("nan"))
    with pytest.raises(ArtefactError, match="differs"):
        export_onnx(shaken("lstm"), rows(6), tmp_path / "network.onnx")
