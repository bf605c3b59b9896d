"""The commands: options in, exit code out. 0 done, 2 bad input; one line says what is wrong."""

from __future__ import annotations

import importlib
import io
import json
import os
import sys
import tempfile
from contextlib import nullcontext, redirect_stdout
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

import pondera
from pondera.cli.plan import plan
from pondera.core.errors import DomainError, MissingFramework, ShapeError, missing

app = typer.Typer(
    name="pondera",
    help="Good weights for neural networks: how they begin, and how they are kept in bounds.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"pondera {pondera.__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Good weights for neural networks: how they begin, and how they are kept in bounds."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command()
def study(
    model: Annotated[
        str,
        typer.Option(
            metavar="PKG.MODULE:BUILD",
            help="Function without arguments that returns a torch.nn.Module. The default is a "
            "perceptron of 30 hidden ReLU layers, without normalisation.",
        ),
    ] = "pondera.torch.perceptron:build",
    source: Annotated[
        str | None,
        typer.Option(
            "--data",
            metavar="PKG.MODULE:LOAD",
            help="Function without arguments that returns (inputs, targets) as NumPy arrays or tensors, "
            "a torch data set or loader, or a pair (train, test) of those. Integer targets are classes, "
            "floating-point ones are regressed. The default is scikit-learn's handwritten digits.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of splits, weights and batches.")] = 0,
    steps: Annotated[int, typer.Option(help="Training steps of each run.")] = 600,
    out: Annotated[
        Path, typer.Option(help="Folder for study.html, study.json, snippet.py and study.db.")
    ] = Path("study-out"),
    arms: Annotated[
        str,
        typer.Option(
            help="Starts to race, separated by commas: textbook, default, xavier, he, orthogonal, mirrored. "
            "All of them if not given.",
        ),
    ] = "",
    rates: Annotated[
        str,
        typer.Option(
            help="Learning rates to try, separated by commas. If not given: 0.0005 to 0.128 in steps of "
            "4 × for sgd, 0.0001 to 0.01 for adamw."
        ),
    ] = "",
    runs: Annotated[int, typer.Option(help="Fresh seeds at each start's best rate.")] = 6,
    batch_size: Annotated[int, typer.Option(help="Rows of each batch.")] = 64,
    optimizer: Annotated[str, typer.Option(help="sgd (momentum 0.9) or adamw.")] = "sgd",
    bounds: Annotated[
        bool,
        typer.Option(help="Study the second half too: penalties and decay on few rows."),
    ] = True,
    workers: Annotated[
        int, typer.Option(help="Parallel processes, one thread each; 0 for one per core.")
    ] = 0,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the result as JSON and nothing else.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Find the start a network needs: look at it, race six starts, answer with code and evidence.

    Each start gets its own best learning rate (chosen on validation rows), then fresh seeds. From the winner,
    bounds on the weights are raced on few rows. Finished runs are kept in study.db: after Ctrl-C the same
    command goes on where it stopped.
    """
    settings = {
        "model": model,
        "data_path": source,
        "arms": _several(arms),
        "seed": seed,
        "steps": steps,
        "batch_size": batch_size,
        "rates": _several(rates),
        "fresh_seeds": runs,
        "optimizer": optimizer,
        "bounds": bounds,
        "workers": workers,
    }
    _guarded(lambda: _study(settings, out, as_json=as_json), debug=debug, out=out)


app.command()(plan)


def run() -> None:
    """Run the command line."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a console without √ shows ?
    try:
        code = app(prog_name="pondera", standalone_mode=False)
    except Exception as fault:
        told = getattr(fault, "format_message", None)  # of a wrong option, by typer
        if told is None:
            raise
        typer.echo(f"error: {' '.join(told().split()).rstrip('.')}. Try --help.", err=True)
        code = 2
    sys.exit(code if isinstance(code, int) else 0)


def _study(given: dict[str, Any], out: Path, *, as_json: bool) -> None:
    _need_packages()
    from pondera import report
    from pondera.study import Settings
    from pondera.study import study as run_study

    given |= {"rates": tuple(_number(r) for r in given["rates"])}
    settings = Settings(**given)
    _need_folder(out)
    aside = redirect_stdout(sys.stderr) if as_json else nullcontext()
    with aside, _bars(Console(stderr=True)) as bars:
        tasks = dict[str, Any]()

        def progress(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=total)
            bars.update(tasks[what], completed=done)

        result = run_study(settings, out, progress=progress)
        try:
            paths = _write(result, out)
        except OSError as fault:
            raise _unwritable(out, fault) from None
    if as_json:
        sys.stdout.write(json.dumps(result, indent=1) + "\n")
        return
    terminal = Console()
    tables = [report.look_table, report.race_table]
    tables += [report.bounds_table] if result["bounds"] else []
    for part in (*tables, report.answer_panel):
        terminal.print(part(result))
    terminal.print("written: " + ", ".join(str(path) for path in paths), soft_wrap=True)


def _need_packages() -> None:
    """Before a long race, not behind it."""
    for needed in ("altair", "jinja2", "optuna", "sklearn", "torch", "vl_convert"):
        try:
            importlib.import_module(needed)
        except ModuleNotFoundError as fault:
            if fault.name != needed:
                raise
            raise missing("pondera study", needed, "study,torch") from None


def _write(result: dict[str, Any], out: Path) -> list[Path]:
    """study.html, study.json and snippet.py, each whole or not at all."""
    from pondera import report

    out.mkdir(parents=True, exist_ok=True)
    page = out / "study.html"
    report.write_page(result, page)
    texts = {
        "study.json": json.dumps(result, ensure_ascii=False, indent=1, allow_nan=False) + "\n",
        "snippet.py": (result["bounds"] or result)["answer"]["snippet"],
    }
    for name, text in texts.items():
        part = out / f".{name}.part"
        part.write_text(text, encoding="utf-8")
        os.replace(part, out / name)
    return [page, *(out / name for name in texts)]


def _guarded(work: Any, *, debug: bool, out: Path) -> None:
    try:
        work()
    except (DomainError, ShapeError, MissingFramework) as fact:
        if debug:
            raise
        typer.echo(f"error: {fact}", err=True)
        raise typer.Exit(2) from None
    except KeyboardInterrupt:
        kept = out / "study.db"
        told = f"finished runs are kept in {kept}; the same command goes on from there."
        typer.echo(f"stopped: {told if kept.exists() else 'nothing was finished.'}", err=True)
        raise typer.Exit(130) from None


def _need_folder(out: Path) -> None:
    """The folder, or the nearest one above it, can be written: tried, for rights do not tell all."""
    try:
        above = next(path for path in (out.resolve(), *out.resolve().parents) if path.exists())
        if not above.is_dir():
            raise DomainError(f"--out: {above} is a file. Name a folder.")
        with tempfile.TemporaryDirectory(prefix=".pondera-", dir=above):
            pass
    except OSError as fault:
        raise _unwritable(out, fault) from None


def _unwritable(out: Path, fault: OSError) -> DomainError:
    return DomainError(
        f"--out: {out} cannot be written; {fault.strerror or fault}. Name another folder."
    )


def _bars(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description:22}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        disable=not console.is_terminal,
    )


def _several(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise DomainError(
            f"--rates: needs numbers separated by commas; got {text!r}. Write --rates 0.001,0.01."
        ) from None
