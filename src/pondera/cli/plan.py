"""`pondera plan`: options in, exit code out. 0 done, 1 a parameter without a rule, 2 bad input."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from pondera.cli.models import Source, source_of
from pondera.core.errors import DomainError, MissingFramework, ShapeError
from pondera.model.inputs import Input


def plan(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="PKG.MODULE:BUILD, a function without arguments that returns a torch.nn.Module; timm:NAME; "
            "hf:TYPE (such as hf:gpt2) or hf:CONFIG.json for an architecture of transformers.",
        ),
    ],
    inputs: Annotated[
        list[str] | None,
        typer.Option(
            "--input",
            metavar="[NAME=]N,N,…[:DTYPE]",
            help="Shape of an input, as 8,3,32,32 or input_ids=2,16:int64; once per input.",
        ),
    ] = None,
    scheme: Annotated[
        str, typer.Option(help="How the weights begin: a name of pondera.schemes().")
    ] = "signal",
    save: Annotated[Path | None, typer.Option(help="TOML file to write the plan to.")] = None,
    against: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|SCHEME|start",
            help="Print what differs from a saved plan, another scheme, or the model's own start.",
        ),
    ] = None,
    execute: Annotated[
        bool, typer.Option("--execute", help="Run the pass in earnest, if it depends on numbers.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the plan as JSON and nothing else.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Tell of each parameter what it is, how it should begin, whether it decays, and why.

    Nothing is trained or drawn: one pass without numbers shows what each parameter is used for.
    """
    try:
        made, difference = _made(model, inputs or [], scheme, against, execute=execute)
        if save is not None:
            made.save(save)
    except (DomainError, ShapeError, MissingFramework) as fact:
        if debug:
            raise
        typer.echo(f"error: {fact}", err=True)
        raise typer.Exit(2) from None
    _print(made, difference, save, as_json=as_json)
    if made.uncovered:
        raise typer.Exit(1)


def _made(
    model: str, inputs: list[str], scheme: str, against: str | None, *, execute: bool
) -> tuple[Any, Any]:
    """The plan, and what differs, if that was asked."""
    from pondera.model.plan import plan as plan_for
    from pondera.model.schemes.registry import scheme_of

    scheme_of(scheme)  # before anything is built
    given = [_input(text) for text in inputs]
    source = source_of(model, real=against == "start")
    example = _example(source, given)
    made = plan_for(source.model, example, scheme, execute=execute)
    if against is None:
        return made, None
    if against == "start":
        return made, made.diff_to_start()
    return made, made.diff(_other(source, example, against, execute=execute))


def _other(source: Source, example: Any, against: str, *, execute: bool) -> Any:
    from pondera.model.plan import Plan
    from pondera.model.plan import plan as plan_for
    from pondera.model.schemes.registry import TABLES

    if against in TABLES:
        return plan_for(source.model, example, against, execute=execute)
    if not Path(against).exists():
        raise DomainError(
            f"--against: needs a saved plan, a scheme or start; got {against!r}. Schemes: "
            f"{', '.join(TABLES)}."
        )
    return Plan.load(against)


def _input(text: str) -> tuple[str, Input]:
    """(name or "", shape and dtype) of an input that is written as [NAME=]N,N,…[:DTYPE]."""
    name, equals, rest = text.rpartition("=")
    sizes, colon, dtype = rest.partition(":")
    try:
        shape = [int(size) for size in sizes.split(",")] if sizes.strip() else []
    except ValueError:
        shape = [0]
    if (equals and not name) or (colon and not dtype) or 0 in shape:
        raise DomainError(
            f"--input: needs [NAME=]N,N,…[:DTYPE]; got {text!r}. Write 8,3,32,32 or input_ids=2,16:int64."
        )
    return name, Input(*shape, dtype=dtype or "float32")


def _example(source: Source, given: list[tuple[str, Input]]) -> Any:
    """What the model is called with: positional, or by name if all have one."""
    if not given:
        if source.example is None:
            raise DomainError(
                f"--input: {source.path} needs the shape of its input; got none. Write --input 8,3,32,32."
            )
        return source.example
    names = [name for name, _ in given]
    if all(names):
        return dict(given)
    if any(names):
        raise DomainError(
            f"--input: all inputs have a name, or none has; got names {', '.join(filter(None, names))} "
            f"for {len(names)} inputs. Name them all."
        )
    return tuple(shape for _, shape in given)


def _print(made: Any, difference: Any, save: Path | None, *, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps(_result(made, difference), ensure_ascii=False, indent=1) + "\n")
        return
    typer.echo(str(made))
    if difference is not None:
        typer.echo(f"\n{difference}")
    if save is not None:
        typer.echo(f"\nwritten: {save}")


def _result(made: Any, difference: Any) -> dict[str, Any]:
    from pondera.model.plan.spelling import spelled

    fields = ("role", "fan_in", "fan_out", "gain", "std", "decay", "rate", "stream", "why")
    rows = [
        {"name": row.name, "block": row.label or None, "shape": list(row.shape)}
        | {"law": spelled(row.law) if row.ruled else None}
        | {field: getattr(row, field) for field in fields}
        for row in made.rows
    ]
    told = {"model": made.called, "scheme": made.scheme, "notes": list(made.notes), "rows": rows}
    if difference is not None:
        told["difference"] = [vars(change) for change in difference]
    return told
