"""``rag collections``: which indexes there are, and delete one."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import Annotated

import typer

from rag.cli_shared import examples, load_settings, terminal
from rag.errors import UsageError

app = typer.Typer(
    help="List the indexes that stand side by side, and remove them; `rag --collection NAME` uses one.",
    invoke_without_command=True,
)


@app.callback(epilog=examples("rag collections", "rag --collection mine ingest ~/pages", "rag collections remove mine"))
def collections(
    context: typer.Context, json_: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False
) -> int:
    """List the collections: how many papers, their hash, and where they are. `remove` deletes one."""
    if context.invoked_subcommand is None:
        from rag.collections import listed

        found = listed(load_settings())
        if json_:
            terminal.out(json.dumps([asdict(one) for one in found], indent=1))
        else:
            terminal.collections(found)
    return 0


@app.command()
def remove(
    name: Annotated[str, typer.Argument(metavar="NAME", help="As `rag collections` lists it.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")] = False,
) -> int:
    """Delete a collection: its index, and the pages that were added to it on the chat page."""
    from rag.collections import remove

    settings = load_settings()
    if not yes and not sys.stdin.isatty():
        raise UsageError(f"Nobody is there to be asked whether to remove {name}: type it with --yes.")
    if not yes:
        typer.confirm(f"Remove the collection {name} with all its papers?", abort=True, err=True)
    remove(settings, name, terminal.progress)
    terminal.done()
    terminal.out(f"{name} removed")
    return 0
