"""The losses of the networks while they were fitted, as a small picture beside the set."""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO
from pathlib import Path

from training.resume import Losses

FILE = "curves.svg"


def draw_curves(losses: Mapping[str, Losses], folder: Path) -> bool:
    """Write ``curves.svg`` with a panel for each network; False, and no file, where nothing was fitted in epochs."""
    shown = {name: each for name, each in losses.items() if each}
    if shown:
        (folder / FILE).write_bytes(_picture(shown))
    return bool(shown)


def _picture(losses: Mapping[str, Losses]) -> bytes:
    """SVG; text stays text, and the same losses give the same bytes."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "deepfinance", "font.size": 9}):
        figure = Figure(figsize=(3.2 * len(losses), 2.6), layout="constrained")
        panels = figure.subplots(1, len(losses), squeeze=False)[0]
        for panel, (name, epochs) in zip(panels, losses.items(), strict=True):
            numbers, training, held_out = zip(*epochs, strict=True)
            panel.plot(numbers, training, label="training")
            panel.plot(numbers, held_out, label="held out")
            panel.axvline(numbers[held_out.index(min(held_out))], color="grey", linewidth=0.8, label="kept")
            panel.set(title=name, xlabel="epoch")
        panels[0].set_ylabel("pinball loss in z")
        panels[0].legend(frameon=False)
        written = BytesIO()
        figure.savefig(written, format="svg", metadata={"Date": None, "Creator": None})
    return written.getvalue()
