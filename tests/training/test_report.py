"""The report says what the numbers say and needs nothing from outside."""

from __future__ import annotations

import re
from datetime import date, timedelta

import numpy as np
import pytest

from gateway.examples import FORECAST
from tests.features.series import wandering_bars
from tests.training.test_evaluate import HORIZONS, MODEL_SET, WINDOW, part_of
from training.evaluate import Evaluation, result_of
from training.references import with_garch
from training.report import fan_chart, report_html, verdict, warnings_of, write_report
from training.scoreboard import Row, markdown_table

LEFT_OUT, PROBLEMS = {"<b>": "it is <short>"}, ["AAA: a fit failed"]


@pytest.fixture(scope="module")
def parts():
    return [
        part_of(wandering_bars(1200, seed, name), with_garch(print)) for seed, name in enumerate(("AAA", "BTC-USD"))
    ]


@pytest.fixture(scope="module")
def fans(parts):
    return [fan for part in parts for fan in part.fans]


@pytest.fixture(scope="module")
def result(parts):
    return result_of(Evaluation(parts, LEFT_OUT, PROBLEMS), MODEL_SET, WINDOW, HORIZONS)


@pytest.fixture(scope="module")
def page(result, fans):
    return report_html(result, fans)


def test_nothing_is_loaded_from_outside(page):
    assert "<script" not in page
    assert "@import" not in page
    assert re.findall(r"(?:src|href)=[\"'](?!#)[^\"']*", page) == []
    assert re.findall(r"url\((?!#)", page) == []
    assert {"DOCTYPE", "<?xml"} & set(re.findall(r"DOCTYPE|<\?xml", page)) == set()


def test_what_comes_from_files_is_escaped(page):
    assert "&lt;b&gt;: it is &lt;short&gt;" in page
    assert "<short>" not in page
    assert "AAA: a fit failed" in page


def test_every_score_of_the_pooled_rows_is_on_the_page(page, result):
    for row in result["pooled"]:
        for key in ("random_walk", "ewma", "garch", "gjr", "fhs"):
            assert f"{100 * row[f'skill_vs_{key}']:+.1f}<small>t {row[f't_vs_{key}']:.1f}</small>" in page
        for level in (50, 80, 90, 95, 99):
            assert f"<td>{100 * row[f'coverage_{level}']:.1f}<small>" in page


def test_it_has_a_drawing_of_each_kind(page):
    titles = re.findall(r"<h[23]>([^<]+)</h[23]>", page)
    for title in (
        "Forecasts and what came",
        "Do the intervals hold?",
        "Is the confidence meant?",
        "By year",
        "By symbol",
    ):
        assert title in titles
    assert page.count("<svg") >= 7


def test_the_same_numbers_give_the_same_page(page, result, fans):
    assert report_html(result, fans) == page


def test_the_page_is_written_as_it_is(tmp_path, page, result, fans):
    write_report(result, fans, tmp_path / "report.html")
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == page


def test_without_garch_the_page_has_no_such_column():
    parts = [part_of(wandering_bars(1200))]
    page = report_html(result_of(Evaluation(parts), MODEL_SET, WINDOW, HORIZONS), parts[0].fans)
    assert "GARCH" not in page
    assert "skill vs EWMA" in page


ROW = {
    "horizon": 1, "skill_vs_ewma": 0.021, "t_vs_ewma": 5.04, "p_vs_ewma": 1e-6, "skill_vs_garch": -0.004,
    "t_vs_garch": -0.8, "p_vs_garch": 0.43, "coverage_90": 0.904, "coverage_90_se": 0.003, "direction": 0.52,
    "direction_se": 0.004, "always_up": 0.53, "p_vs_always_up": 0.2, "brier_gain": 0.01, "brier_gain_p": 0.01,
}  # fmt: skip


def test_a_verdict_rests_on_its_figures():
    words = verdict(ROW)
    assert "1 bar: better than EWMA by 2.1 % (t 5.0, p < 0.001)" in words
    assert "not told apart from GARCH-t (skill -0.4 %, t -0.8, p 0.430)" in words
    assert "The 90 % interval held 90.4 ± 0.6 %." in words


@pytest.mark.parametrize(
    ("changes", "edge"),
    [
        ({}, False),
        ({"direction": 0.56}, False),
        ({"direction": 0.56, "p_vs_always_up": 0.01}, True),
        ({"direction": 0.50, "p_vs_always_up": 0.01}, False),
        ({"direction": 0.56, "p_vs_always_up": 0.01, "brier_gain": -0.01}, False),
        ({"direction": 0.56, "p_vs_always_up": 0.01, "brier_gain_p": 0.2}, False),
    ],
)
def test_an_edge_in_direction_needs_better_calls_and_better_probabilities(changes, edge):
    assert ("An edge in direction" in verdict(ROW | changes)) == edge


def test_scores_that_are_not_out_of_sample_are_called_so(result, fans):
    changed = result | {
        "model_windows": {"training": ["1990-01-01", "2003-12-31"], "calibration": ["1980-01-01", "1980-12-31"]},
        "trained_on": ["AAA", "ZZZ"],
    }
    overlap, seen = warnings_of(changed)
    assert "overlaps the training window" in overlap
    assert "prices of AAA were" in seen
    assert overlap in report_html(changed, fans)
    assert warnings_of(result | {"model_windows": {"evidence": ["1990-01-01", "2033-12-31"]}, "trained_on": []}) == []


@pytest.mark.parametrize("suffix", ["svg", "png"])
def test_a_fan_chart_is_drawn_from_an_answer(tmp_path, suffix):
    last = date(2022, 12, 28)
    closes = [(last - timedelta(days=60 - i), 120.0 + np.sin(i / 5)) for i in range(61)]
    first, second = tmp_path / f"first.{suffix}", tmp_path / f"second.{suffix}"
    fan_chart(FORECAST, closes, first)
    fan_chart(FORECAST, closes, second)
    assert first.read_bytes() == second.read_bytes()
    assert first.read_bytes().startswith(b"<?xml" if suffix == "svg" else b"\x89PNG")


def test_a_table_leaves_out_what_nobody_measured():
    rows: list[Row] = [{"horizon": 1, "n": 10, "skill_vs_ewma": 0.01, "t_vs_ewma": None}, {"horizon": 5, "n": 0}]
    assert markdown_table(rows).splitlines() == [
        "| horizon | forecasts | skill vs EWMA % |",
        "| ---: | ---: | ---: |",
        "| 1 | 10 | 1.0 |",
    ]
