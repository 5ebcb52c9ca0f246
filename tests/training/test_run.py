"""One run of the machinery: what is published loads, repeats, and says of itself what it is."""

from __future__ import annotations

import json
import shutil
from concurrent.futures import Future
from dataclasses import fields, replace

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from contracts import Calibration, EvidenceTable
from errors import ArtefactError
from features.spec import FEATURE_NAMES, fingerprint
from runners.artefact import read_member, verify_file
from runners.model_set import load_model_set
from tests.training.conftest import PLAN, WINDOWS
from training import train as train_module
from training.evaluate import evaluate
from training.publish import publish
from training.scoreboard import markdown_table
from training.train import train

HORIZONS = [1, 5, 20, 90]


def test_what_is_published_is_what_loads(run):
    loaded = load_model_set(run.folder)
    assert (loaded.version, loaded.grid, loaded.members) == (
        run.model_set.version,
        run.model_set.grid,
        run.model_set.members,
    )
    assert_array_equal(loaded.weights, run.model_set.weights)
    for field in fields(Calibration):
        ours, theirs = (getattr(each.calibration, field.name) for each in (loaded, run.model_set))
        assert_array_equal(ours, theirs)
    assert loaded.evidence.keys() == run.model_set.evidence.keys() == {"equity", "index"}
    for name, table in run.model_set.evidence.items():
        for field in fields(EvidenceTable):
            assert_array_equal(getattr(loaded.evidence[name], field.name), getattr(table, field.name))


class SerialPool:
    """Fits one after the other in this process."""

    def __init__(self, max_workers):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None

    def submit(self, function, *arguments):
        future: Future[None] = Future()
        future.set_result(function(*arguments))
        return future


def test_the_same_seed_gives_the_same_set_wherever_it_is_fitted(run, monkeypatch, tmp_path):
    monkeypatch.setattr(train_module, "ProcessPoolExecutor", SerialPool)
    again = train(run.histories, PLAN, tmp_path / "staging", tmp_path / "current")
    assert again.version == run.model_set.version
    assert again.members == run.model_set.members
    assert (tmp_path / "current" / "manifest.json").read_text() == (run.folder / "manifest.json").read_text()
    assert not (tmp_path / "staging").exists()


def test_a_changed_byte_in_a_member_is_refused(run, tmp_path):
    folder = shutil.copytree(run.folder, tmp_path / "copy")
    for spec in run.model_set.members:
        verify_file(folder, spec)
        content = bytearray((folder / spec.file).read_bytes())
        content[len(content) // 2] ^= 1
        (folder / spec.file).write_bytes(content)
        with pytest.raises(ArtefactError, match=f"{spec.file} was changed after it was published"):
            read_member(folder, spec.name)


def test_a_set_of_other_features_is_refused(run, tmp_path):
    folder = shutil.copytree(run.folder, tmp_path / "copy")
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["features"]["fingerprint"] = "sha256:" + "0" * 64
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ArtefactError, match="trained on other features"):
        load_model_set(folder)


def test_the_manifest_tells_what_the_set_was_made_of(run):
    manifest = json.loads((run.folder / "manifest.json").read_text())
    assert manifest["features"] == {"fingerprint": fingerprint(), "names": list(FEATURE_NAMES)}
    assert manifest["seed"] == PLAN.seed
    assert manifest["windows"]["calibration"] == ["2003-04-21", "2003-12-31"]
    assert manifest["data"] == {each.bars.symbol: each.bars.fingerprint for each in run.histories}
    assert manifest["models_version"] == run.model_set.version
    assert run.model_set.version.startswith("20041029-")
    assert [member["name"] for member in manifest["members"]] == ["xgboost", "lstm", "transformer"]


def test_the_card_says_what_the_manifest_holds(run):
    card, manifest = (run.folder / "MODEL_CARD.md").read_text(), run.model_set.manifest
    stated = [run.model_set.version, str(manifest["seed"]), manifest["features"]["fingerprint"], *manifest["data"]]
    stated += [f"| {member['name']} | {member['version']} | `{member['file']}` |" for member in manifest["members"]]
    stated += [" to ".join(window) for window in manifest["windows"].values()]
    stated += [markdown_table(rows) for rows in manifest["scores"].values()]
    stated += [about["scope"] for about in manifest["evidence"].values()]
    for words in stated:
        assert words in card


def test_the_version_changes_with_the_numbers(run, tmp_path):
    staging = shutil.copytree(run.folder, tmp_path / "staging")
    calibration = run.model_set.calibration
    other = replace(run.model_set, calibration=replace(calibration, offsets=calibration.offsets + 1e-9))
    published = publish(staging, tmp_path / "current", other, run.histories, PLAN, run.model_set.manifest["scores"])
    assert published.version != run.model_set.version


def test_publishing_replaces_the_old_set_in_one_step(run, tmp_path):
    target = shutil.copytree(run.folder, tmp_path / "current")
    (target / "left over").write_text("of the old set")
    staging = shutil.copytree(run.folder, tmp_path / "staging")
    publish(staging, target, run.model_set, run.histories, PLAN, run.model_set.manifest["scores"])
    assert not (target / "left over").exists()
    assert load_model_set(target).version == run.model_set.version
    assert sorted(path.name for path in tmp_path.iterdir()) == ["current"]


@pytest.mark.parametrize("kind", ["equity", "index"])
def test_evaluation_prints_the_numbers_that_are_served(run, kind):
    window = WINDOWS.evidence if kind == "equity" else WINDOWS.calibration
    chosen = [each for each in run.histories if each.asset_class == kind]
    rows = evaluate(chosen, run.model_set, run.folder, window, HORIZONS)["by_asset_class"][kind]
    table, scores = run.model_set.evidence[kind], run.model_set.manifest["scores"][kind]
    for row in rows:
        if row["n"]:
            step = row["horizon"] - 1
            assert row == next(each for each in scores if each["horizon"] == row["horizon"])
            assert row["n"] == table.samples[step]
            for level in (50, 80, 90, 95, 99):
                at = table.cover_levels.tolist().index(level / 100)
                assert row[f"coverage_{level}"] == table.coverage[-1, step, at]
            assert row["skill_vs_random_walk"] == table.skill[-1, step]
            assert row["p_vs_random_walk"] == table.p_value[-1, step]
            assert row["direction"] == table.accuracy[step]
            assert row["always_up"] == table.up_share[step]
            assert row["brier_gain"] == table.direction_skill[step]
    assert [row["horizon"] for row in rows if row["n"]] == HORIZONS


def test_evaluation_of_each_symbol_adds_up_to_all(run):
    shares = run.histories[:3]
    result = evaluate(shares, run.model_set, run.folder, WINDOWS.evidence, HORIZONS)
    assert list(result["per_symbol"]) == ["AAA", "BBB", "CCC"]
    for i, row in enumerate(result["pooled"]):
        parts = [rows[i] for rows in result["per_symbol"].values()]
        assert row["n"] == sum(part["n"] for part in parts)
        for name in ("coverage_90", "pinball", "direction", "brier", "width_90"):
            together = np.average([part[name] for part in parts], weights=[part["n"] for part in parts])
            assert row[name] == pytest.approx(together, rel=1e-9)


def test_nothing_to_evaluate_is_an_empty_board(run):
    window = replace(WINDOWS.evidence, start=WINDOWS.evidence.end)
    assert evaluate(run.histories, run.model_set, run.folder, window, HORIZONS)["pooled"] == []
