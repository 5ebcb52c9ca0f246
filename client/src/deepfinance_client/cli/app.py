"""``deepfinance``: forecasts and risk from a terminal or a script.

Answers go to standard output, everything else to standard error. Exit status: 0 answered, 1 the service could not or
would not, 2 the command was wrong, 130 interrupted.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from deepfinance_client.async_client import AsyncClient
from deepfinance_client.body import Body
from deepfinance_client.calls import MAX_BATCH, said
from deepfinance_client.cli import show
from deepfinance_client.cli.access import key_for
from deepfinance_client.cli.batch import Outcome, Run, Target
from deepfinance_client.cli.tables import format_of, read_table
from deepfinance_client.cli.work import names_in, work_of
from deepfinance_client.cli.wrong import WrongInput
from deepfinance_client.client import Client
from deepfinance_client.connection import DEFAULT_URL
from deepfinance_client.errors import DeepFinanceError

app = typer.Typer(
    help="Forecasts and risk from a DeepFinance service.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
Url = Annotated[str, typer.Option(envvar="DEEPFINANCE_URL", help="Where the service is.")]
Key = Annotated[
    str | None,
    typer.Option(
        envvar="DEEPFINANCE_API_KEY", help="The key. On a shared machine rather in the environment or a file."
    ),
]
KeyFile = Annotated[
    Path | None,
    typer.Option(
        envvar="DEEPFINANCE_API_KEY_FILE",
        help="A file that holds the key. [default: .deepfinance/api_key, for a service on this machine]",
    ),
]
Timeout = Annotated[float, typer.Option(min=0.1, help="Seconds to wait for one answer.")]
AsJson = Annotated[bool, typer.Option("--json", help="The whole answer as JSON.")]
Symbol = Annotated[str, typer.Argument(help="Such as AAPL, BRK-B, ^GSPC, BTC-USD.")]
Horizon = Annotated[int | None, typer.Option(help="Bars ahead, 1 to 90. [default: that of the service, 5]")]
Level = Annotated[float | None, typer.Option(help="Share of outcomes an interval is to cover, 0.5 to 0.99.")]
Models = Annotated[str | None, typer.Option(help="Models to use, such as xgboost+har.")]
Timeframe = Annotated[str | None, typer.Option(help="Length of a bar: 1d or 1h.")]


@app.command()
def predict(
    symbol: Symbol,
    horizon: Horizon = None,
    confidence_level: Level = None,
    models: Models = None,
    timeframe: Timeframe = None,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    key: Key = None,
    key_file: KeyFile = None,
    timeout: Timeout = 30.0,
) -> None:
    """Forecast one symbol."""
    with Client(url, key_for(url, key, key_file), timeout=timeout) as client:
        answer = client.predict(
            symbol,
            horizon=horizon,
            confidence_level=confidence_level,
            models=names_in(models),
            timeframe=timeframe,  # type: ignore[arg-type]  # the service says what it may be
        )
    _print(answer, show.forecast(answer), as_json)


@app.command()
def risk(
    symbol: Symbol,
    period_days: Annotated[int | None, typer.Option(help="Trading days to measure. [default: 250]")] = None,
    horizon: Annotated[int | None, typer.Option(help="Days that value at risk reaches over. [default: 1]")] = None,
    benchmark: Annotated[str | None, typer.Option(help="[default: the index of the share's own market]")] = None,
    risk_free_rate: Annotated[float | None, typer.Option(help="A year's, a fraction. [default: 0]")] = None,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    key: Key = None,
    key_file: KeyFile = None,
    timeout: Timeout = 30.0,
) -> None:
    """Measure the risk of one symbol."""
    with Client(url, key_for(url, key, key_file), timeout=timeout) as client:
        answer = client.risk(
            symbol, period_days=period_days, horizon=horizon, benchmark=benchmark, risk_free_rate=risk_free_rate
        )
    _print(answer, show.risk(answer), as_json)


@app.command()
def health(as_json: AsJson = False, url: Url = DEFAULT_URL, timeout: Timeout = 5.0) -> None:
    """Whether the service can forecast, and what stands in the way."""
    with Client(url, timeout=timeout) as client:
        answer = client.health()
    _print(answer, show.health(answer), as_json)
    if answer.status == "down":
        raise typer.Exit(1)


@app.command()
def batch(
    symbols: Annotated[
        Path,
        typer.Argument(
            help="A .csv or .parquet file: a column `symbol`, and if you like `horizon`, `models`, `confidence_level` "
            "and `timeframe`. Other columns are kept."
        ),
    ],
    out: Annotated[Path, typer.Option(help="The .parquet or .csv file to write.")],
    horizon: Horizon = None,
    confidence_level: Level = None,
    models: Models = None,
    timeframe: Timeframe = None,
    parallel: Annotated[int, typer.Option(min=1, max=64, help="Batches under way at most.")] = 4,
    chunk: Annotated[int, typer.Option(min=1, max=MAX_BATCH, help="Rows in a batch.")] = 250,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace OUT if it is there.")] = False,
    restart: Annotated[bool, typer.Option("--restart", help="Ask again what an interrupted run has answered.")] = False,
    url: Url = DEFAULT_URL,
    key: Key = None,
    key_file: KeyFile = None,
    timeout: Timeout = 120.0,
) -> None:
    """Forecast every row of a file. Interrupted, even killed, the same command goes on where it was."""
    format_of(out)
    defaults = said(horizon=horizon, confidence_level=confidence_level, models=names_in(models), timeframe=timeframe)
    work = work_of(read_table(symbols), defaults)
    service_key = key_for(url, key, key_file)
    with _bar(len(work.requests)) as progress:
        run = Run(work, Target(out, overwrite, restart), progress)
        try:
            outcome = run.run(lambda: AsyncClient(url, service_key, timeout=timeout), parallel, chunk)
        except (KeyboardInterrupt, DeepFinanceError) as error:
            _tell(f"{run.journal.answered} of {len(work.requests)} rows are kept; the same command goes on from there")
            if isinstance(error, KeyboardInterrupt):
                raise typer.Exit(130) from None
            raise
    _tell(_summary(outcome, out))


@contextmanager
def _bar(total: int) -> Iterator[Callable[[int, int], None]]:
    """A progress bar on standard error, where that is a terminal."""
    console = Console(stderr=True)
    shown = Progress(
        TextColumn("forecasts"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[errors]} errors"),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
    )
    task = shown.add_task("", total=total, errors=0)
    with shown:
        yield lambda answered, errors: shown.update(task, completed=answered, errors=errors)


def _summary(outcome: Outcome, out: Path) -> str:
    failed = outcome.errors.total()
    named = ", ".join(f"{code} {count}" for code, count in sorted(outcome.errors.items()))
    errors = f", {failed} errors ({named})" if failed else ""
    resumed = f"; {outcome.resumed} of them from before" if outcome.resumed else ""
    return f"{out}: {outcome.rows} rows, {outcome.rows - failed} forecasts{errors}{resumed}; {outcome.seconds:.1f} s"


def _print(answer: Body, shown: RenderableType, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(answer.model_dump_json(by_alias=True, indent=2) + "\n")
    else:
        show.on_screen(shown)


def _tell(text: str) -> None:
    sys.stderr.write(text + "\n")


def main() -> None:
    """Run the command; what goes wrong is told in a line, without a trace."""
    try:
        app()
    except WrongInput as error:
        _tell(f"error: {error}")
        sys.exit(2)
    except DeepFinanceError as error:
        _tell(f"error: {error}")
        sys.exit(1)


if __name__ == "__main__":
    main()
