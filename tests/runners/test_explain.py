"""Explanations, from the engines up: they add up to what was answered, and show what the network computed."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from contracts import Explanation, Floats, Floats32, Forecast, ForecastRequest, ModelSet
from ensemble.attribution import effects, horizons_to_ask, log_mean, parts_of
from errors import DeepFinanceError, RunnerUnavailable
from explanation import patches_of
from features.build import latest_inputs
from features.filtered import knot_weights
from features.spec import FEATURE_NAMES, WINDOW_CHANNELS, WINDOW_STEPS
from market.bundled import BundledSource
from market.calendars import ExchangeCalendars
from market.chain import SourceChain
from networks.quantile_head import Layout
from networks.transformer import TransformerForecaster
from pipeline import Ports, forecast_many
from runners.artefact import read_member
from runners.coalesce import CoalescingRunner
from runners.explainer import explainer
from runners.members import Member, OnnxMember, XgboostMember, load_member
from runners.model_set import load_model_set
from tests.runners.tiny import GRID, rows_for, write_manifest, write_model_set
from training.export import export_onnx

NOW = datetime(2023, 1, 3, tzinfo=UTC)
CALENDAR = ExchangeCalendars()
UNIT = torch.tensor(knot_weights(GRID.horizons), dtype=torch.float32)


def small_transformer() -> TransformerForecaster:
    torch.manual_seed(5)
    base = torch.tensor(np.sort(np.random.default_rng(0).standard_normal(GRID.shape)), dtype=torch.float32)
    network = TransformerForecaster(Layout(len(FEATURE_NAMES), WINDOW_STEPS, len(WINDOW_CHANNELS), base, UNIT))
    torch.nn.init.normal_(network.head.last.weight, std=0.05)
    return network.eval()


@pytest.fixture(scope="module")
def network() -> TransformerForecaster:
    return small_transformer()


@pytest.fixture(scope="module")
def attentive_set(tmp_path_factory: pytest.TempPathFactory, network: TransformerForecaster) -> Path:
    """The tiny set with a real, if small, Transformer."""
    folder = write_model_set(tmp_path_factory.mktemp("attentive") / "set")
    export_onnx(network, torch.from_numpy(rows_for("transformer", 16)), folder / "transformer.onnx")
    write_manifest(folder)
    return folder


@pytest.fixture(scope="module")
def members(attentive_set: Path) -> dict[str, Member]:
    return {name: _loaded(attentive_set, name) for name in ("xgboost", "lstm", "transformer")}


def _loaded(folder: Path, name: str) -> Member:
    spec, grid = read_member(folder, name)
    return load_member(spec, grid, folder / spec.file)


def tree_of(members: dict[str, Member]) -> XgboostMember:
    tree = members["xgboost"]
    assert isinstance(tree, XgboostMember)
    return tree


def net_of(members: dict[str, Member], name: str = "transformer") -> OnnxMember:
    net = members[name]
    assert isinstance(net, OnnxMember)
    return net


def with_horizon(rows: np.ndarray, horizon: int) -> np.ndarray:
    return np.column_stack([rows, np.full(len(rows), np.log(horizon), np.float32)]).astype(np.float32)


def test_contributions_add_up_to_the_quantiles_that_are_answered(members: dict[str, Member]):
    tree, rows = tree_of(members), rows_for("xgboost", 200)
    answered = tree.predict(rows)
    unsorted = tree.compute(tree.prepare(rows)).reshape(answered.shape)
    assert (np.diff(unsorted, axis=-1) < 0).any()  # else putting them in order would not be tested
    for column, horizon in enumerate(GRID.horizons):
        parts = tree.contributions(with_horizon(rows, horizon))
        assert parts.shape == (200, len(GRID.levels), len(FEATURE_NAMES) + 2)
        assert_allclose(parts.sum(axis=-1), answered[:, column], rtol=1e-5, atol=2e-6)


def test_attention_is_what_the_network_computes(members: dict[str, Member], network: TransformerForecaster):
    rows = rows_for("transformer", 9, seed=3)
    shown = net_of(members).attention(rows)
    with torch.no_grad():
        quantiles, expected = network.with_attention(torch.from_numpy(rows))
    assert shown.shape == (9, 2, 4, 8, 8)
    assert net_of(members).attention(rows[:1]).shape == (1, 2, 4, 8, 8)
    assert_allclose(shown, expected.numpy(), atol=1e-6)
    assert_allclose(shown.sum(axis=-1), 1.0, atol=1e-6)
    assert_allclose(members["transformer"].predict(rows), quantiles.numpy(), atol=1e-5)


def test_attention_mixes_the_values_that_the_network_used(network: TransformerForecaster):
    """The weights are not beside the computation but in it: with them the first layer can be done by hand."""
    rows = torch.from_numpy(rows_for("transformer", 3))
    _, window = network.layout.split(rows)
    tokens = network.embed(window.reshape(3, 8, -1)) + network.position
    layer = network.layers[0]
    with torch.no_grad():
        _, weights = network.with_attention(rows)
        normed = layer.norm_attention(tokens)
        value = layer.to_query_key_value(normed).reshape(3, 8, 3, 4, 8)[:, :, 2].transpose(1, 2)
        by_hand = layer.merge((weights[:, 0] @ value).transpose(1, 2).reshape(3, 8, 32))
        mixed, _ = layer.attend(normed)
    assert_allclose(by_hand.numpy(), mixed.numpy(), atol=1e-6)


def test_a_network_without_attention_shows_none(members: dict[str, Member]):
    with pytest.raises(ValueError, match="lstm has no attention"):
        net_of(members, "lstm").attention(rows_for("lstm", 1))


def test_between_two_horizons_both_are_asked():
    assert horizons_to_ask(5, GRID) == ([5], [1.0])
    assert horizons_to_ask(90, GRID) == ([90], [1.0])
    asked, shares = horizons_to_ask(10, GRID)
    assert asked == [5, 20]
    assert shares == pytest.approx([0.5, 0.5])  # 10 is half way from 5 to 20 in log


def test_effects_add_up_in_z_and_in_money():
    parts = np.random.default_rng(2).normal(0, 0.3, (7, 3))
    parts[-1] += (-1.6, 0.0, 1.6)
    found = effects(parts, 50.0, 0.04)
    low, middle, high = 50.0 * np.exp(0.04 * parts.sum(axis=0))
    assert sum(part.median_price for part in found) == pytest.approx(middle - 50.0, abs=1e-10)
    assert sum(part.width_price for part in found) == pytest.approx(high - low, abs=1e-10)
    assert sum(part.median_z for part in found) == pytest.approx(parts[:, 1].sum())
    assert sum(part.width_z for part in found) == pytest.approx(parts[:, 2].sum() - parts[:, 0].sum())


def test_the_logarithmic_mean_lies_between():
    assert log_mean(4.0, 4.0) == 4.0
    assert 2.0 < log_mean(2.0, 4.0) < 3.0
    assert log_mean(2.0, 4.0) == pytest.approx(log_mean(4.0, 2.0))


def test_parts_are_interpolated_level_by_level():
    contributions = np.arange(2 * 5 * 4, dtype=np.float64).reshape(2, 5, 4)
    parts = parts_of(contributions, [0.25, 0.75], GRID)
    assert_allclose(parts[2], 0.25 * contributions[0, [0, 2, 4], 2] + 0.75 * contributions[1, [0, 2, 4], 2])


class Told:
    """Runners in this process; those in ``silent`` fail when asked to explain, ``questions`` counts who was asked."""

    def __init__(self, folder: Path) -> None:
        self.model_set: ModelSet = load_model_set(folder)
        self.members = {name: _loaded(folder, name) for name in self.model_set.names}
        self.silent: set[str] = set()
        self.broken: set[str] = set()
        self.questions: list[str] = []
        runners = {
            spec.name: CoalescingRunner(spec, self.model_set.grid, self._predict(spec.name))
            for spec in self.model_set.members
        }
        explainers = {
            "xgboost": explainer("xgboost", self._explain("xgboost", "contributions"), 2.0),
            "transformer": explainer("transformer", self._explain("transformer", "attention"), 2.0),
        }
        self.ports = Ports(SourceChain([BundledSource()]), CALENDAR, runners, explainers=explainers)

    def _predict(self, name: str) -> Any:
        async def call(rows: Floats32) -> Floats:
            if name in self.broken:
                raise ConnectionResetError
            return self.members[name].predict(rows)

        return call

    def _explain(self, name: str, what: str) -> Any:
        async def call(rows: Floats32) -> Floats:
            self.questions.append(name)
            if name in self.silent:
                raise ConnectionResetError
            answer: Floats = getattr(self.members[name], what)(rows)
            return answer

        return call

    async def forecast(self, symbol: str = "AAPL", horizon: int = 5, explain: bool = True, **more: Any) -> Forecast:
        request = ForecastRequest(symbol, horizon, explain=explain, **more)
        (found,) = await forecast_many([request], ports=self.ports, model_set=self.model_set, now=NOW)
        assert isinstance(found, Forecast)
        return found

    async def explanation(self, **more: Any) -> Explanation:
        found = (await self.forecast(**more)).explanation
        assert found is not None
        return found


@pytest.fixture
async def told(attentive_set: Path) -> Told:
    return Told(attentive_set)


@pytest.mark.parametrize("horizon", [1, 5, 7, 33, 90])
async def test_the_parts_add_up_to_the_answer_of_the_tree(told: Told, horizon: int):
    forecast = await told.forecast(horizon=horizon)
    assert forecast.explanation is not None
    tree = forecast.explanation.tree
    assert tree is not None
    assert tree.calibration is not None
    parts = [tree.base, *(each.effect for each in tree.features), tree.calibration]
    for name in ("median_z", "width_z", "median_price", "width_price"):
        assert sum(getattr(part, name) for part in parts) == pytest.approx(getattr(tree.total, name), abs=1e-9)
    (member,) = (each for each in forecast.members if each.model == "xgboost")
    assert member.price_target is not None
    assert forecast.current_price + tree.total.median_price == pytest.approx(member.price_target, rel=1e-9)
    assert tree.weight == member.weight


async def test_every_input_is_there_with_its_value_largest_first(told: Told):
    tree = (await told.explanation(horizon=7)).tree
    assert tree is not None
    assert {each.feature for each in tree.features} == {*FEATURE_NAMES, "horizon"}
    sizes = [abs(each.effect.median_price) + abs(each.effect.width_price) for each in tree.features]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] > 0
    values = {each.feature: each.value for each in tree.features}
    bars = await BundledSource().bars("AAPL", "1d")
    assert values.pop("horizon") == 7
    assert values == dict(zip(FEATURE_NAMES, map(float, latest_inputs([bars]).tabular[0]), strict=True))
    assert "interpolated in log horizon between 5 and 20 bars" in tree.method


async def test_without_calibration_the_parts_are_those_of_the_raw_answer(told: Told):
    tree = (await told.explanation(horizon=5)).tree
    assert tree is not None
    assert tree.calibration is not None
    bars = await BundledSource().bars("AAPL", "1d")
    raw = told.members["xgboost"].predict(latest_inputs([bars]).tabular)[0, GRID.horizons.index(5)]
    assert tree.total.median_z - tree.calibration.median_z == pytest.approx(raw[2], abs=1e-5)
    assert tree.total.width_z - tree.calibration.width_z == pytest.approx(raw[4] - raw[0], abs=1e-5)
    assert "interpolated" not in tree.method


async def test_attention_is_given_per_patch_with_its_dates(told: Told, network: TransformerForecaster):
    attention = (await told.explanation()).attention
    assert attention is not None
    bars = await BundledSource().bars("AAPL", "1d")
    with torch.no_grad():
        _, expected = network.with_attention(torch.from_numpy(latest_inputs([bars]).rows_for("flat")))
    for layer, theirs in zip(attention.layers, expected[0].numpy(), strict=True):
        assert_allclose(layer.weights, theirs.mean(axis=0), atol=1e-6)
        assert_allclose(np.sum(layer.weights, axis=1), 1.0, atol=1e-6)
        assert_allclose(layer.mean, theirs.mean(axis=(0, 1)), atol=1e-6)
    days = bars.times.astype("datetime64[D]").tolist()
    assert [patch.first for patch in attention.patches] == days[-64::8]
    assert [patch.last for patch in attention.patches] == days[-57::8]
    assert attention.patches == patches_of(bars, 8)


async def test_nobody_is_asked_where_no_explanation_is_wanted(told: Told):
    forecast = await told.forecast(explain=False)
    assert forecast.explanation is None
    assert told.questions == []
    explained = await told.forecast()
    assert sorted(told.questions) == ["transformer", "xgboost"]
    assert explained.forecast_id == forecast.forecast_id


async def test_a_model_that_failed_is_not_explained_and_says_why(told: Told):
    told.broken = {"xgboost"}
    explanation = await told.explanation()
    assert explanation.tree is None
    assert explanation.missing == {"tree": "xgboost did not answer: model xgboost is not answering"}
    assert explanation.attention is not None
    assert told.questions == ["transformer"]


async def test_an_explanation_that_fails_does_not_fail_the_forecast(told: Told):
    told.silent = {"transformer"}
    explanation = await told.explanation()
    assert explanation.attention is None
    assert explanation.missing == {"attention": "model transformer is not answering"}
    assert explanation.tree is not None


async def test_a_model_that_was_not_asked_for_is_not_explained(told: Told):
    explanation = await told.explanation(models=("lstm",))
    assert (explanation.tree, explanation.attention) == (None, None)
    assert set(explanation.missing) == {"tree", "attention"}


@pytest.mark.parametrize("answer", [np.zeros((2, 5)), np.full((1, 5), np.nan), "words"])
async def test_an_answer_that_is_none_is_refused(answer: object):
    async def call(rows: Floats32) -> Any:
        return answer

    with pytest.raises((RunnerUnavailable, DeepFinanceError), match="xgboost"):
        await explainer("xgboost", call, 1.0)(np.zeros((1, 3), np.float32))
