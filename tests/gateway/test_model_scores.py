"""What a member is worth is told beside it, from the leaderboard of the published set."""

from __future__ import annotations

from dataclasses import replace

from gateway.model_reports import models_report
from tests.ensemble.model_sets import made_up_set

ROW = {"member": "lstm", "weight": 0.3, "skill_vs_ewma_1": 0.017, "adds_1": 0.001, "t_adds_1": 2.2}


def test_each_member_has_its_rows_of_the_leaderboard_and_no_others():
    board = {"stocks": {"calibration": [{**ROW, "member": "xgboost"}, ROW], "evidence": [ROW]}}
    published = replace(made_up_set(), manifest={"features": {"fingerprint": "sha256:0"}, "leaderboard": board})
    scores = {member.name: member.scores for member in models_report(published, ("1d",)).members}
    assert scores["lstm"] == {"stocks": {"calibration": ROW, "evidence": ROW}}
    assert scores["xgboost"] == {"stocks": {"calibration": {**ROW, "member": "xgboost"}}}
    assert scores["transformer"] == {}


def test_a_set_without_a_leaderboard_has_no_scores():
    published = replace(made_up_set(), manifest={"features": {"fingerprint": "sha256:0"}})
    assert [member.scores for member in models_report(published, ("1d",)).members] == [{}, {}, {}]
