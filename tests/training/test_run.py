"""What a published set says of itself, and that nobody else's files pass for it."""

from __future__ import annotations

import json
import shutil
from dataclasses import fields, replace

import pytest
from numpy.testing import assert_array_equal

from contracts import Calibration, EvidenceTable
from errors import ArtefactError
from runners.artefact import read_member, verify_file
from runners.model_set import load_model_set
from tests.training.conftest import PLAN, WINDOWS
from training.evaluate import evaluate, result_of
from training.publish import Scores, Sources, write_set
from training.scoreboard import markdown_table

HORIZONS = [1, 5, 20, 90]


class Shelf:
    """The made-up universe as a source of prices."""

    def __init__(self, histories):
        self._bars = {history.bars.symbol: history.bars for history in histories}

    def symbols(self):
        return list(self._bars)

    async def bars(self, symbol, timeframe):
        return self._bars[symbol]


def test_every_number_that_is_published_is_loaded(run):
    loaded = load_model_set(run.folder)
    assert loaded.calibration.keys() == run.model_set.calibration.keys()
    for kind, calibration in run.model_set.calibration.items():
        for field in fields(Calibration):
            assert_array_equal(getattr(loaded.calibration[kind], field.name), getattr(calibration, field.name))
    assert loaded.evidence.keys() == run.model_set.evidence.keys() == {"equity", "index"}
    for name, table in run.model_set.evidence.items():
        for field in fields(EvidenceTable):
            assert_array_equal(getattr(loaded.evidence[name], field.name), getattr(table, field.name))


@pytest.mark.parametrize("kind", ["equity", "index"])
def test_evaluation_prints_the_numbers_that_are_served(run, kind):
    chosen = [each for each in run.histories if each.asset_class == kind]
    found = evaluate(Shelf(chosen), run.model_set, run.folder, WINDOWS.evidence, HORIZONS, garch=False)
    rows = result_of(found, run.model_set, WINDOWS.evidence, HORIZONS)["by_asset_class"][kind]
    table, scores = run.model_set.evidence[kind], run.model_set.manifest["scores"][kind]
    assert table.masks[0] == run.model_set.mask(
        run.model_set.weighted("stocks" if kind == "equity" else "stocks with ranges")
    )
    for row in rows:
        step = row["horizon"] - 1
        published = next(each for each in scores if each["horizon"] == row["horizon"])
        assert {name: row[name] for name in published} == published
        assert row["n"] == table.samples[step] > 0
        for level in (50, 80, 90, 95, 99):
            at = table.cover_levels.tolist().index(level / 100)
            assert row[f"coverage_{level}"] == table.coverage[0, step, at]
        assert row["skill_vs_random_walk"] == table.skill[0, step]
        assert row["p_vs_random_walk"] == table.p_value[0, step]
        assert row["direction"] == table.accuracy[step]
        assert row["always_up"] == table.up_share[step]
        assert table.direction_skill[step] == min(row["brier_gain"], row["direction"] - row["always_up"])
    assert [row["horizon"] for row in rows] == HORIZONS


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


def test_the_card_says_what_the_manifest_holds(run):
    card, manifest = (run.folder / "MODEL_CARD.md").read_text(), run.model_set.manifest
    stated = [run.model_set.version, str(manifest["seed"]), manifest["features"]["fingerprint"], *manifest["data"]]
    stated += [f"| {member['name']} | {member['version']} | `{member['file']}` |" for member in manifest["members"]]
    stated += [" to ".join(window) for window in manifest["windows"].values()]
    stated += [markdown_table(rows) for rows in manifest["scores"].values()]
    stated += [about["scope"] for about in manifest["evidence"].values()]
    for words in stated:
        assert words in card


def test_the_version_changes_with_the_numbers(quick, tmp_path):
    def written(model_set):
        sources = Sources(quick.histories, [], {}, {})
        return write_set(tmp_path / "set", quick.folder, model_set, sources, PLAN, Scores({}, {}), {})

    assert written(quick.model_set).version == quick.model_set.version
    calibration = {
        kind: replace(each, offsets=each.offsets + 1e-9) for kind, each in quick.model_set.calibration.items()
    }
    assert written(replace(quick.model_set, calibration=calibration)).version != quick.model_set.version
