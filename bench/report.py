"""The results as a table for people, the same as Markdown for the README, and a chart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from bench.first import CALLERS

OURS = "deepfinance"
NAMES = {
    OURS: "`make serve` (models in the gateway)",
    "deepfinance-workers": "`GATEWAY_WORKERS=2`",
    "deepfinance-per-model": "`RUNNER_LAYOUT=per_model`",
    "fastapi-1": "FastAPI, 1 worker",
    "fastapi-2": "FastAPI, 2 workers",
    "litserve": "LitServe, batched",
    "bentoml-defaults": "BentoML's defaults",
    "fastapi-dict": "FastAPI from a dict, no key, no limit",
    "bare-socket": "a bare socket that always writes the same bytes",
}
COLOURS = {
    OURS: "#1f5fbf",
    "deepfinance-workers": "#123a75",
    "deepfinance-per-model": "#6aaed6",
    "fastapi-1": "#e6842a",
    "fastapi-2": "#8c4a10",
    "litserve": "#2f9e44",
    "bentoml-defaults": "#888888",
    "fastapi-dict": "#c2417a",
    "bare-socket": "#444444",
}
SERVICES = (OURS, "deepfinance-workers", "deepfinance-per-model")
COMMAND = "make bench ARGS=--readme"

Found = Mapping[str, Any]
Loads = Mapping[str, Mapping[str, float]]
"""Figures by connections."""


class Row(NamedTuple):
    """Something that is claimed: what was measured, what was aimed at, and whether that was reached."""

    name: str
    value: str
    aim: str = ""
    reached: bool | None = None


def table(found: Found) -> str:
    """Throughput, latency and failures by contender and connections, then the ratios that matter."""
    parts = [f"compute limit of the models alone: {found['compute_limit']:.0f} forecasts a second"]
    for workload in ("uncached", "cached"):
        parts += ["", _loads(workload, found[workload]["loads"])]
    if left_out := found["uncached"].get("left_out"):
        parts += ["", f"left out, since they failed: {', '.join(left_out)}"]
    rows = (f"{row.name:<70}{row.value:>12}  {row.aim}{_missed(row)}" for row in ratios(found))
    return "\n".join([*parts, "", *rows])


def ratios(found: Found) -> Iterator[Row]:
    """What is claimed, each against its reference in the same run."""
    uncached, cached = found["uncached"], found["cached"]["loads"]
    yield from _uncached_ratios(uncached["loads"])
    for connections, load in cached[OURS].items() if "bare-socket" in cached else ():
        name = f"kept, {_at(connections)}: throughput against a bare socket"
        yield _ratio(name, load, cached["bare-socket"][connections], "throughput")
    for connections, load in cached[OURS].items() if "fastapi-dict" in cached else ():
        name = f"kept, {_at(connections)}: throughput against a dict"
        least = 2.5 if connections in ("1", "64") else None
        yield _ratio(name, load, cached["fastapi-dict"][connections], "throughput", least=least)
    if (busy := uncached["loads"][OURS].get("100")) is not None:
        yield _published(busy)
    top = max(load["throughput"] for load in uncached["loads"][OURS].values())
    yield _row("new: best throughput against the models alone", top / found["compute_limit"], least=0.5)
    batch = uncached["batch_500_seconds"] / uncached["bare_models_500_seconds"]
    yield _row("batch of 500 against the models alone", batch, most=1.5)
    calm = uncached["lone_p50_after_burst"] / uncached["lone_p50_before_burst"]
    yield _row("lone p50 after a burst of 256 connections against before", calm, most=1.3)
    burst, memory = uncached["burst_of_256"], uncached["pss_loaded_mb"][OURS]
    failed = int(burst["failed"])
    yield Row(f"failed of {burst['requests']:,.0f} from 256 connections", f"{failed:,}", "0", failed == 0)
    yield Row("memory (PSS) under load", f"{memory:.0f} MB", "under 700 MB", memory < 700)
    yield from _first(uncached)
    yield Row("start to ready", f"{uncached['seconds_to_ready'][OURS]:.1f} s")


def _first(uncached: Found) -> Iterator[Row]:
    """The first forecast of each series' bar."""
    for name, first in uncached.get("first_forecasts", {}).items():
        yield Row(f"first forecast of a series' bar, {CALLERS} callers, {name}", _each(first))
    if (batch := uncached.get("first_batch")) is not None:
        yield Row(f"batch of {batch['series']} new series, a series", _each(batch))


def _each(first: Mapping[str, float]) -> str:
    times = (1000 * first[what] / first["series"] for what in ("seconds", "processor"))
    return "{:.1f} ms, processor {:.1f} ms".format(*times)


def _uncached_ratios(loads: Mapping[str, Loads]) -> Iterator[Row]:
    plain = [loads[name] for name in ("fastapi-1", "fastapi-2") if name in loads]
    for connections, ours in loads[OURS].items():
        at, many = f"new, {_at(connections)}", connections in ("64", "100")
        if plain:
            best = max((peer[connections] for peer in plain), key=lambda load: load["throughput"])
            least, most = (2.5, 0.125) if many else (None, None)
            yield _ratio(f"{at}: throughput against FastAPI", ours, best, "throughput", least=least)
            if (split := loads.get("deepfinance-per-model")) is not None:
                name = f"{at}: per_model's throughput against FastAPI"
                yield _ratio(name, split[connections], best, "throughput", least=1.5 if many else None)
            yield _ratio(f"{at}: p99 against FastAPI", ours, best, "p99", most=most)
            if connections == "1":
                yield _ratio(f"{at}: p50 against FastAPI", ours, best, "p50", most=1.2)
        if (defaults := loads.get("bentoml-defaults")) is not None:
            name = f"{at}: throughput against BentoML's defaults"
            yield _ratio(name, ours, defaults[connections], "throughput", least=8 if many else None)


def _published(load: Mapping[str, float]) -> Row:
    """Beside the figures that earlier systems of the kind published for 100 users."""
    p50, p95, p99 = (1000 * load[name] for name in ("p50", "p95", "p99"))
    return Row(
        "new, 100 connections: forecasts a second; p50, p95, p99 in ms",
        f"{load['throughput']:,.0f}; {p50:.0f}, {p95:.0f}, {p99:.0f}",
        "better than 980; 45, 120, 250",
        load["throughput"] > 980 and p50 < 45 and p95 < 120 and p99 < 250,
    )


def _ratio(
    name: str,
    ours: Mapping[str, float],
    theirs: Mapping[str, float],
    what: str,
    *,
    least: float | None = None,
    most: float | None = None,
) -> Row:
    if not theirs[what]:
        return Row(name, "none answered")
    return _row(name, ours[what] / theirs[what], least=least, most=most)


def _row(name: str, ratio: float, *, least: float | None = None, most: float | None = None) -> Row:
    shown = f"{ratio:.2f}x"
    if least is not None:
        return Row(name, shown, f"at least {least:g}", ratio >= least)
    if most is not None:
        return Row(name, shown, f"at most {most:g}", ratio <= most)
    return Row(name, shown)


def _missed(row: Row) -> str:
    return "  NOT REACHED" if row.reached is False else ""


def markdown(found: Found) -> str:
    """What the README shows: how it was measured, throughput and p99 by connections, and the ratios with their aims."""
    uncached, machine = found["uncached"], found["machine"]
    load = (found["load_average_before"], found["load_average_after"])
    left_out = uncached.get("left_out")
    parts = [
        f"{found['symbols']:,} symbols, {_rounds(found)}; "
        f"{machine['cores']} cores, {machine['load']} on the same machine, "
        f"load average {load[0]:.1f} before and {load[1]:.1f} after."
        + (f" Failed and left out: {', '.join(left_out)}." if left_out else ""),
        _throughput("forecasts a second, nothing cached", uncached["loads"]),
        _throughput("p99 in ms, nothing cached", uncached["loads"], "p99", 1000),
        _throughput("answers given before, a second", found["cached"]["loads"]),
        "\n".join(
            ["| new forecasts, and kept ones | measured | aimed at | reached |", "|---|---:|---:|---|"]
            + [
                f"| {row.name} | {row.value} | {row.aim} | {'yes' if row.reached else '**no**'} |"
                for row in ratios(found)
                if row.aim
            ]
        ),
    ]
    if "first_risk_seconds" in uncached:
        known = uncached["risk"]["16"]["throughput"]
        parts.append(
            f"Risk of a series that is asked about for the first time: {1000 * uncached['first_risk_seconds']:.0f} ms, "
            f"which its volatility model takes; after that {known:,.0f} answers a second from 16 connections."
        )
    if "first_forecasts" in uncached:
        parts.append(_first_in_words(uncached))
    return "\n\n".join(parts) + "\n"


def _first_in_words(uncached: Found) -> str:
    ours = uncached["first_forecasts"][OURS]
    peers = [f" ({NAMES[name]}: {_each(it)})" for name, it in uncached["first_forecasts"].items() if name != OURS]
    batch = uncached["first_batch"]
    return (
        f"The first forecast of a series' bar, {ours['series']} series asked for by {CALLERS} callers: {_each(ours)} "
        f"each{''.join(peers)}. {batch['series']} new series in one batch: {batch['seconds']:.1f} s, processor "
        f"{1000 * batch['processor'] / batch['series']:.1f} ms each."
    )


def details(found: Found) -> str:
    """What the results file shows beside that: processor time of an answer."""
    new, kept = found["uncached"]["loads"], found["cached"]["loads"]
    parts = [
        "Processor time is that of all processes of a server, between the beginning and the end of a turn.",
        _throughput("processor time of a forecast in ms, nothing cached", new, "processor", 1000, 2),
        _throughput(
            "of it in the event loops", {name: new[name] for name in new if name in SERVICES}, "event_loop", 1000, 2
        ),
        _throughput("processor time in ms of an answer given before", kept, "processor", 1000, 3),
    ]
    return "\n\n".join(parts) + "\n"


def _rounds(found: Found) -> str:
    one = found["rounds"] == 1
    return (
        f"one round of {found['seconds']:g} s"
        if one
        else f"medians of {found['rounds']} rounds of {found['seconds']:g} s"
    )


def _throughput(
    title: str, loads: Mapping[str, Loads], what: str = "throughput", unit: float = 1.0, digits: int = 0
) -> str:
    at = list(loads[OURS])
    lines = [f"| {title} | {_at(at[0])} | {' | '.join(at[1:])} | failed |", f"|---|{'---:|' * (len(at) + 1)}"]
    for name, by in loads.items():
        figures = " | ".join(f"{unit * by[connections][what]:,.{digits}f}" for connections in at)
        lines.append(f"| {NAMES.get(name, name)} | {figures} | {sum(load['failed'] for load in by.values()):,.0f} |")
    return "\n".join(lines)


def _at(connections: str) -> str:
    return f"{connections} connection{'s' if connections != '1' else ''}"


def _loads(title: str, loads: Mapping[str, Loads]) -> str:
    lines = [f"{title:<24}{'conn':>5}{'rps':>9}{'p50 ms':>9}{'p95 ms':>9}{'p99 ms':>9}{'failed':>8}"]
    for name, by in loads.items():
        for connections, load in by.items():
            times = "".join(f"{load[each] * 1000:>9.2f}" for each in ("p50", "p95", "p99"))
            lines.append(f"{name:<24}{connections:>5}{load['throughput']:>9.0f}{times}{load['failed']:>8.0f}")
    return "\n".join(lines)


def chart(found: Found, path: Path) -> None:
    """Three panels by connections: throughput and p99 of forecasts that are computed, throughput of answers kept."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    from matplotlib.ticker import LogLocator

    figure, axes = plt.subplots(1, 3, figsize=(13, 4.4), layout="constrained")
    new, slowest, kept = axes
    for name, by in found["uncached"]["loads"].items():
        _line(new, name, by, "throughput", label=name)
        _line(slowest, name, by, "p99", 1000)
    for name, by in found["cached"]["loads"].items():
        _line(kept, name, by, "throughput", label=name if name != OURS else None)
    new.set(ylabel="forecasts a second", title="New forecasts, nothing cached", ylim=(0, None))
    slowest.set(ylabel="p99, ms (lower is better)", title="Slowest of a hundred of them", yscale="log")
    slowest.yaxis.set_major_locator(LogLocator(subs=(1, 3)))
    slowest.yaxis.set_major_formatter("{x:,.0f}")
    kept.set(ylabel="answers a second", title="Answers given before", ylim=(0, None))
    kept.yaxis.set_major_formatter("{x:,.0f}")
    connections = [int(each) for each in found["uncached"]["loads"][OURS]]
    for axis in axes:
        axis.set(xlabel="connections")
        axis.set_xscale("log", base=2)
        axis.set_xticks(connections, [str(each) for each in connections])
        axis.minorticks_off()
        axis.grid(alpha=0.3)
    figure.legend(loc="outside lower center", ncols=5, fontsize=9, frameon=False)
    figure.savefig(path)
    plt.close(figure)


def _line(axis: Any, name: str, by: Loads, what: str, unit: float = 1.0, label: str | None = None) -> None:
    style = {"linewidth": 2.5 if name == OURS else 1.2, "color": COLOURS.get(name, "black"), "label": label}
    axis.plot([int(each) for each in by], [unit * load[what] for load in by.values()], marker="o", **style)
