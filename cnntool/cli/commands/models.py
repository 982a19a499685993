"""``cnntool models``: list, fetch, check and describe networks."""

from __future__ import annotations

from math import isnan
from typing import TYPE_CHECKING, Any

import click

from cnntool.cli import console, options, param_types
from cnntool.cli.network_options import labels, output_name, preprocessing, white
from cnntool.cli.output import Column, emit, emit_record, form_of, json_text, prose
from cnntool.errors import CnntoolError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from cnntool.cli.output import Form
    from cnntool.nets.inference.presets import Overrides
    from cnntool.nets.models.catalog import CatalogEntry

COLUMNS = (
    Column("network"),
    Column("size", right=True),
    Column("classes", right=True),
    Column("top-1 %", right=True),
    Column("file"),
    Column("what it is", gives="cut", most=60),
)
HOUR = 3600


def names(*, required: bool) -> Callable[[options.F], options.F]:
    """Add the positional names."""
    return click.argument(
        "names", nargs=-1, required=required, type=param_types.MODEL, metavar="NAME..."
    )


@click.group("models", invoke_without_command=True)
@options.talk
@click.pass_context
def command(ctx: click.Context) -> int:
    """List, fetch, check and describe networks.

    Without a subcommand the networks are listed. CNNTOOL_MODELS_DIR names the folder that fetched
    and added ones are kept in.
    """
    return 0 if ctx.invoked_subcommand else ctx.invoke(list_)


@command.command("list")
@options.json_lines
@options.talk
def list_(*, as_json: bool = False) -> int:
    """List every network with its size, its classes, how well it does, and whether it is here.

    Lines in a pipe hold the name, bytes, classes, top-1 in percent, 'built-in', 'here', 'added',
    'damaged' or 'absent', and the title.
    """
    from cnntool.api.catalog import summary
    from cnntool.nets.models import catalog

    rows: list[dict[str, Any]] = []
    code = each(catalog.names(), lambda name: rows.append(summary(catalog.entry(name))))
    form = form_of(as_json=as_json)
    emit(COLUMNS, rows if form == "jsonl" else [_cells(row, form) for row in rows], form)
    return code


def _cells(row: dict[str, Any], form: Form) -> list[str]:
    from cnntool.cli.model_card import megabytes

    people = form == "table"
    here = "" if people and row["state"] == "absent" else row["state"]
    size = megabytes(row["size"]) if people else _text(row["size"])
    top1 = "" if row["top1"] is None else f"{100 * row['top1']:.2f}"
    return [row["name"], size, _text(row["classes"]), top1, here, row["title"]]


def _text(number: int | None) -> str:
    return "" if number is None else str(number)


@command.command("info")
@click.argument("name", type=param_types.MODEL, metavar="NAME|FILE")
@options.json_lines
@options.talk
def info(name: str, *, as_json: bool) -> None:
    """Show what is known of a network: all of its manifest.

    Of a FILE, the manifest of the same stem beside it is shown. Without one, what the file says:
    its inputs, outputs, producer and version of operators, and what would be assumed of it.
    """
    from cnntool.api.catalog import file_facts, record
    from cnntool.cli import model_card
    from cnntool.nets.models import catalog

    if not catalog.is_path(name):
        entry = catalog.entry(name)
    elif (found := catalog.find(name)).spec is not None:
        entry = catalog.CatalogEntry(found.spec, found.file, shipped=False, bundled=False)
    else:
        facts = model_card.as_said(file_facts(found.file))
        lines = model_card.file_lines(facts)
        if as_json:
            emit_record(facts.record())
        else:
            prose("\n".join(lines))
        return
    if as_json:
        emit_record(record(entry))
    else:
        prose("\n".join(model_card.lines(entry)))


@command.command("pull")
@names(required=True)
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=HOUR,
    show_default=True,
    metavar="SECONDS",
    help="How long one network may take, all its mirrors together.",
)
@options.setting(
    "--offline",
    is_flag=True,
    help="Fetch nothing; fail if that would be needed.",
)
@options.json_lines
@options.talk
def pull(names: tuple[str, ...], *, timeout: float, offline: bool, as_json: bool) -> int:
    """Fetch networks of the catalogue, and print where they are.

    What is here already is compared with its hash, and fetched only if it is damaged. No other
    command goes to the network.
    """
    if isnan(timeout):
        raise UsageError("NaN is no number of seconds", source="--timeout")
    from cnntool.nets.models.download import DownloadLimits, Listener
    from cnntool.nets.models.download import pull as fetch

    limits = DownloadLimits(timeout)

    def one(entry: CatalogEntry) -> None:
        with console.Progress(entry.spec.name, megabytes=True) as bar:
            hears = Listener(console.note, bar.reach)
            fetched = fetch(entry, limits=limits, listener=hears, offline=offline)
        if as_json:
            fact = {"name": entry.spec.name, "file": str(entry.file), "fetched": fetched,
                    "size": entry.spec.size, "sha256": entry.spec.sha256}  # fmt: skip
            console.result(json_text(fact))
        else:
            console.result(str(entry.file))

    return each(_entries(names), one)


@command.command("add")
@click.argument("file", type=param_types.FILE)
@click.option("--name", help="What to call it.  [default: the file's stem]")
@click.option("--link", is_flag=True, help="Leave the file where it is; keep a link to it.")
@preprocessing(white, output_name, labels)
@options.talk
def add(file: Path, *, name: str | None, link: bool, overrides: Overrides) -> None:
    """Keep a network of your own under a name, with a manifest.

    The manifest of the same stem beside FILE is taken over. Without one, what the graph does not
    tell and no option says is assumed; the manifest, whose path is printed, can be edited.
    """
    if name == "":
        raise UsageError("an empty name", source="--name")
    from cnntool.api.catalog import describe
    from cnntool.cli.model_card import draft_as_said
    from cnntool.nets.models import catalog, store

    beside = catalog.find_file(file).spec
    draft = draft_as_said(
        describe(file, name=name, beside=beside, overrides=overrides, alone=not link)
    )
    entry = store.add(file, draft.spec, link=link)
    if draft.assumed:
        console.note(f"{entry.spec.name}: assumed {', '.join(draft.assumed)}")
    console.result(str(entry.spec.manifest))


@command.command("verify")
@names(required=False)
@options.json_lines
@options.talk
def verify(names: tuple[str, ...], *, as_json: bool) -> int:
    """Compare networks with their hashes; without NAME all that are here."""
    from cnntool.nets.models import catalog, store

    def one(entry: CatalogEntry) -> None:
        if not entry.present:
            raise catalog.absent(entry)
        reason = store.verify(entry)
        name = entry.spec.name
        if as_json:
            fact = {"name": name, "file": str(entry.file), "good": reason is None, "reason": reason}
            console.result(json_text(fact))
        elif reason is None:
            console.result(f"{name}\tgood")
        if reason is not None:
            raise store.bad(entry, reason)

    if names:
        return each(_entries(names), one)

    def present(name: str) -> None:
        entry = catalog.entry(name)
        if entry.present:
            one(entry)

    return each(catalog.names(), present)


@command.command("remove")
@names(required=True)
@options.talk
def remove(names: tuple[str, ...]) -> int:
    """Remove networks that were fetched or added, and print what was removed."""
    from cnntool.nets.models import store

    def one(entry: CatalogEntry) -> None:
        for path in store.remove(entry):
            console.result(str(path))

    return each(_entries(names), one)


@command.command("path")
@click.argument("name", type=param_types.MODEL)
@options.talk
def path(name: str) -> None:
    """Print where a network's file is."""
    from cnntool.nets.models import catalog

    console.result(str(catalog.find(name).file))


def _entries(names: Sequence[str]) -> list[CatalogEntry]:
    """Look all the names up before anything is done."""
    from cnntool.nets.models import catalog

    return [catalog.entry(name) for name in dict.fromkeys(names)]


def each(items: Sequence[Any], do: Callable[[Any], object]) -> int:
    """Do something for every item; a failure is reported and the others go on.

    Returns
    -------
    int
        0, or the exit code of the first failure.
    """
    code = 0
    for item in items:
        try:
            do(item)
        except CnntoolError as error:
            console.error(str(error), error.hint)
            code = code or error.exit_code
    return code
