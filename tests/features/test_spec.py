"""Names, warm-ups and the fingerprint that ties a model set to these formulas."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from features import build, spec
from features import returns as f
from features.filtered import KNOTS
from features.ranges import LARGEST_VOLUME_RATIO, RANGE_FEATURES, RangeFeature, RangePanel
from features.spec import BARS_NEEDED, FEATURES, RANGE_NAMES, WARM_UP, Feature, fingerprint
from tests.features.series import wandering_bars, with_candles

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "features.md").read_text()


EVERY = (*FEATURES, *RANGE_FEATURES)


def values_of(feature, n_bars=WARM_UP + 30):
    """(n_bars,) a feature over a whole series, warm-up included."""
    bars = with_candles(wandering_bars(n_bars))
    part = build._recent(bars, n_bars)
    panel = build._panel(part.log_price[:, None], part.weekday[:, None])
    if isinstance(feature, Feature):
        return feature.formula(panel)[:, 0]
    opening, high, low, volume = part.candles[:, :, None]
    return feature.formula(RangePanel(opening, high, low, panel.log_price, volume, panel.sigma))[:, 0]


@pytest.mark.parametrize("feature", EVERY, ids=lambda feature: feature.name)
def test_a_feature_has_a_value_from_its_warm_up_on_and_ever_after(feature):
    assert np.isfinite(values_of(feature)[feature.warm_up :]).all()


@pytest.mark.parametrize("feature", EVERY, ids=lambda feature: feature.name)
def test_a_warm_up_is_no_longer_than_a_bar_too_many(feature):
    missing = np.isnan(values_of(feature))
    first = int(np.argmin(missing))
    assert first in (feature.warm_up, feature.warm_up - 1) or feature.warm_up == f.YEAR
    assert not missing[first:].any()


def test_the_longest_warm_up_covers_features_and_window():
    assert max(feature.warm_up for feature in EVERY) <= WARM_UP
    assert f.YEAR + spec.WINDOW_STEPS - 1 <= WARM_UP
    assert BARS_NEEDED == WARM_UP + 1


def test_names_are_unique():
    assert len({*spec.FEATURE_NAMES, *RANGE_NAMES}) == len(EVERY) + 2 * len(KNOTS)


def test_the_fingerprint_is_the_same_in_another_process():
    code = "from features.spec import fingerprint; print(fingerprint())"
    other = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert other.stdout.strip() == fingerprint()


def test_the_fingerprint_is_a_hash():
    assert re.fullmatch(r"sha256:[0-9a-f]{64}", fingerprint())
    assert fingerprint() == fingerprint()


def use(monkeypatch, features):
    monkeypatch.setattr(spec, "FEATURES", tuple(features))
    monkeypatch.setattr(build, "FEATURES", tuple(features))


@pytest.mark.parametrize("index", range(0, len(FEATURES), 5))
def test_the_fingerprint_changes_with_a_formula(monkeypatch, index):
    before, feature = fingerprint(), FEATURES[index]

    def a_little_larger(panel):
        return feature.formula(panel) + 1e-4

    changed = Feature(feature.name, feature.warm_up, a_little_larger)
    use(monkeypatch, (*FEATURES[:index], changed, *FEATURES[index + 1 :]))
    assert fingerprint() != before


def test_the_fingerprint_changes_with_the_order(monkeypatch):
    before = fingerprint()
    use(monkeypatch, (FEATURES[1], FEATURES[0], *FEATURES[2:]))
    assert fingerprint() != before


@pytest.mark.parametrize("change", [{"name": "renamed"}, {"warm_up": 251}])
def test_the_fingerprint_changes_with_a_name_or_a_warm_up(monkeypatch, change):
    before, feature = fingerprint(), FEATURES[0]
    parts = {"name": feature.name, "warm_up": feature.warm_up, "formula": feature.formula} | change
    use(monkeypatch, (Feature(**parts), *FEATURES[1:]))
    assert fingerprint() != before


def use_ranges(monkeypatch, features):
    monkeypatch.setattr(spec, "RANGE_FEATURES", tuple(features))
    monkeypatch.setattr(build, "RANGE_FEATURES", tuple(features))


@pytest.mark.parametrize("index", range(len(RANGE_FEATURES)))
def test_the_fingerprint_changes_with_a_range_formula(monkeypatch, index):
    before, feature = fingerprint(), RANGE_FEATURES[index]
    changed = RangeFeature(feature.name, feature.warm_up, lambda panel: feature.formula(panel) + 1e-4)
    use_ranges(monkeypatch, (*RANGE_FEATURES[:index], changed, *RANGE_FEATURES[index + 1 :]))
    assert fingerprint() != before


@pytest.mark.parametrize("change", [{"name": "renamed"}, {"warm_up": 251}])
def test_the_fingerprint_changes_with_the_name_or_the_warm_up_of_a_range_feature(monkeypatch, change):
    before = fingerprint()
    use_ranges(monkeypatch, (replace(RANGE_FEATURES[0], **change), *RANGE_FEATURES[1:]))
    assert fingerprint() != before


def test_the_fingerprint_changes_with_the_order_of_range_features(monkeypatch):
    before = fingerprint()
    use_ranges(monkeypatch, (RANGE_FEATURES[1], RANGE_FEATURES[0], *RANGE_FEATURES[2:]))
    assert fingerprint() != before


def test_the_fingerprint_changes_with_the_decay_of_volatility(monkeypatch):
    before = fingerprint()
    honest = f.volatility
    monkeypatch.setattr(f, "volatility", lambda returns, decay=0.95: honest(returns, decay))
    assert fingerprint() != before


def test_the_fingerprint_changes_with_the_window(monkeypatch):
    before, windows = fingerprint(), build._windows
    monkeypatch.setattr(build, "_windows", lambda panel, rows: windows(panel, rows)[:, ::-1])
    assert fingerprint() != before


@pytest.mark.parametrize("feature", EVERY, ids=lambda feature: feature.name)
def test_the_page_names_every_feature_and_its_warm_up(feature):
    assert re.search(rf"^\| `{feature.name}` \|.*\| {feature.warm_up} \|", PAGE, re.MULTILINE)


def test_the_page_names_nothing_else_and_keeps_the_order():
    first, rest = PAGE.split("## From open, high, low and volume")
    assert tuple(re.findall(r"^\| `(\w+)` \|", first, re.MULTILINE)) == spec.FEATURE_NAMES
    ranges = re.findall(r"^\| `(\w+)` \|", rest.split("## The window")[0], re.MULTILINE)
    assert tuple(ranges) == RANGE_NAMES


@pytest.mark.parametrize(
    "stated",
    [
        f"{BARS_NEEDED} bars",
        f"{build.LONGEST_GAP_DAYS} days",
        f"{build.SMALLEST_MOVING_SHARE:.0%}",
        f"last {build.LONGEST_STANDSTILL} bars",
        f"{build.SMALLEST_SIGMA:g}",
        f"±{spec.LARGEST_VALUE:g}",
        f"{spec.WINDOW_STEPS} bars",
        f"{len(spec.FEATURE_NAMES)} numbers",
        f"{len(RANGE_NAMES)} more",
        f"±{LARGEST_VOLUME_RATIO:g}",
        *(f"`{channel}`" for channel in spec.WINDOW_CHANNELS),
    ],
)
def test_the_page_states_limits_and_window(stated):
    assert stated in PAGE
