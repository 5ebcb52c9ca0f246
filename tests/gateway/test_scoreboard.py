"""What the published set scored, over HTTP."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from pydantic import ValidationError

from gateway.examples import SCOREBOARD
from gateway.scoreboard import DEFINITIONS, ScoreRow, scoreboard_report
from tests.gateway.calling import assert_error
from tests.gateway.fakes import MANIFEST
from tests.gateway.tiny_service import SERVICE

SPEC = SERVICE.openapi_spec.asdict()
PUBLISHED = Path(__file__).parents[2] / "models_store" / "current" / "manifest.json"


async def test_the_manifest_is_answered_with_its_windows_and_definitions(client: httpx.AsyncClient):
    body = (await client.get("/api/v1/scoreboard")).json()
    assert body["models_version"] == "1"
    assert body["windows"]["evidence"] == ["2019-01-01", "2022-12-31"]
    (row,) = body["by_asset_class"]["equity"]["rows"]
    assert (row["horizon"], row["n"], row["skill_vs_ewma"], row["coverage_90"]) == (5, 1001, 0.014, 0.906)
    assert row["skill_vs_garch"] is None
    assert set(row) == set(body["definitions"]) == set(ScoreRow.model_fields)


async def test_it_needs_a_key(stranger: httpx.AsyncClient):
    assert_error(await stranger.get("/api/v1/scoreboard"), 401, "unauthorized")


def test_every_number_is_defined():
    assert all(len(text) > 10 for text in DEFINITIONS.values())


def test_the_example_fits_what_is_documented():
    operation = SPEC["paths"]["/api/v1/scoreboard"]["get"]
    shown = operation["responses"]["200"]["content"]["application/json"]
    assert shown["example"] == SCOREBOARD
    schema = {**shown["schema"], "components": SPEC["components"]}
    assert list(Draft202012Validator(schema).iter_errors(SCOREBOARD)) == []
    assert set(SCOREBOARD["by_asset_class"]["equity"]["rows"][0]) == set(ScoreRow.model_fields)


def test_the_published_set_has_a_scoreboard():
    report = scoreboard_report(json.loads(PUBLISHED.read_text()))
    assert all(scores.rows for scores in report.by_asset_class.values())
    assert "equity" in report.by_asset_class


def test_a_set_without_scores_has_an_empty_board():
    assert scoreboard_report({"models_version": "1"}).by_asset_class == {}


def test_a_report_cannot_be_changed():
    with pytest.raises(ValidationError, match="frozen"):
        scoreboard_report(MANIFEST).models_version = "2"  # type: ignore[misc]
