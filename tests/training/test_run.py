"""What a published set says of itself, and that nobody else's files pass for it."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import pytest

from errors import ArtefactError
from runners.artefact import read_member, verify_file
from runners.model_set import load_model_set
from tests.training.conftest import PLAN
from training.publish import Scores, Sources, write_set
from training.scoreboard import markdown_table


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
