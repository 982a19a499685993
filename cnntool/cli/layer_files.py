"""Files and figures of layers: where pictures and arrays go, and tables, lines and records."""

from __future__ import annotations

import os
import sys
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from cnntool.api.activations import Archive, safe, save_array
from cnntool.cli import batch_log, console
from cnntool.cli.inputs import Naming, figure_suffix, make_folder
from cnntool.cli.output import Column, Groups, emit, emit_record, form_of, prose
from cnntool.errors import OutputError, UsageError
from cnntool.image.atomic import STDOUT, Sink
from cnntool.image.files import FORMATS, STDIO, is_folder
from cnntool.shapes.text import counted, shape_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

    from cnntool.api.activations import ChosenLayer
    from cnntool.api.page import LayerView
    from cnntool.cli.batch_log import BatchLog
    from cnntool.image.files import Item
    from cnntool.nets.inference.layer_outputs import Statistics
    from cnntool.nets.layers.receptive_field import ReceptiveField
    from cnntool.views.display_list import DisplayList
    from cnntool.views.drawing import Drawing


RAW = (".npz", ".npy")

_REMARKS, _NUMBERS = 8, 12
"""Lines below a table, and numbers in each."""

_TOLD = 0.01
"""Share of saturated or subnormal values that is worth a line."""


def raw_format(raw: str | None, output: str | None) -> str | None:
    """Settle whether numbers are wanted, and in which format: ``npz``, ``npy`` or None.

    Raises
    ------
    UsageError
        When --raw says one thing and the suffix of --output another.
    """
    if output is None or output == STDIO or _is_folder(output):
        return raw
    suffix = Path(output).suffix.lower()
    if suffix not in RAW and not (raw and suffix):
        return raw
    if raw and f".{raw}" != suffix:
        raise UsageError(f"--raw {raw} and {output!r} disagree")
    return suffix[1:]


def check_picture(name: str, output: str) -> None:
    """Refuse a name whose suffix stands for no format, before a network has run for it."""
    from cnntool.api.pictures import figure_format

    try:
        figure_format(name)
    except OutputError as error:
        hint = "FILE.png is a picture; FILE.npy and FILE.npz are numbers"
        raise OutputError(error.message, source=output, hint=hint) from None


def _is_folder(output: str) -> bool:
    return output.endswith(("/", os.sep)) or is_folder(output)


def is_file(output: str) -> bool:
    """Tell whether a name is meant for a file: it ends as those of pictures or numbers do."""
    known = {suffix for row in FORMATS.values() for suffix in row.suffixes} | {*RAW, ".svg"}
    return Path(output).suffix.lower() in known and not _is_folder(output)


class Purpose(NamedTuple):
    """What is to become of layers: the options of these names.

    Attributes
    ----------
    drawing : Drawing
        How they are drawn.
    raw : str or None
        ``npz`` or ``npy`` for numbers, None for pictures.
    stats_only : bool
        Whether nothing is made of them.
    show : bool
        Whether they are drawn in the terminal.
    report : Path or None
        The page to write.
    units, explain, patches
        What else is on it: layers to take apart, how classes are explained, a folder.
    width : int or None
        Of figures, in pixels.
    figure : bool
        Whether the photo stands beside the maps.
    format_name : str or None
        Of figures, whatever a suffix says.
    average, top_patches : bool
        Whether all inputs together are looked at: their mean, or what excites maps most.
    """

    drawing: Drawing
    output: str | None
    overwrite: bool
    raw: str | None
    stats_only: bool
    as_json: bool
    show: bool = False
    report: Path | None = None
    units: tuple[str, ...] = ()
    explain: str | None = None
    patches: Path | None = None
    average: bool = False
    top_patches: bool = False
    width: int | None = None
    figure: bool = False
    format_name: str | None = None

    @property
    def writes(self) -> bool:
        """Whether files are written."""
        asked = self.output or self.raw or not (self.show or self.report)
        return bool(asked) and not self.stats_only

    @property
    def draws(self) -> bool:
        """Whether files of pictures are written."""
        return self.writes and self.raw is None


class LayerFiles:
    """Decides where every result goes, and writes it.

    One layer's result is named as other commands name theirs. Those of several layers lie in a
    folder, ``NN-LAYER.png``, which is what --output names; where there are several inputs, a
    folder for each in that.

    Parameters
    ----------
    purpose : Purpose
        What the user wants.
    wanted : sequence of ChosenLayer
        The layers.
    label : str
        Goes into the name of a folder that the tool chooses.
    several : bool
        Whether there may be more than one input.

    Attributes
    ----------
    log : BatchLog or None
        Is told of every file before it appears.
    naming : Naming
        Of the files, or of the folders that they lie in.
    """

    def __init__(
        self,
        purpose: Purpose,
        wanted: Sequence[ChosenLayer],
        label: str,
        *,
        several: bool = False,
    ) -> None:
        self._purpose = purpose
        self._output = output = purpose.output
        self._several = several
        self._label = label
        self._wanted = wanted
        drawn = figure_suffix(purpose.format_name) if purpose.format_name else ".png"
        self.suffix = suffix = f".{purpose.raw}" if purpose.raw else drawn
        self.log: BatchLog | None = None
        self._is_file = len(wanted) == 1 or suffix == ".npz"
        if self._is_file:
            one = safe(wanted[0].title) if len(wanted) == 1 else label
            self.naming = Naming(output, one, several=several)
            if named := self.naming.named:
                if purpose.format_name is None:
                    self.suffix = Path(named).suffix.lower()
                if self.suffix not in RAW:
                    check_picture(f"layer{self.suffix}", named)
        elif output == STDIO:
            raise UsageError(
                f"{len(wanted)} layers cannot share stdout",
                hint="name one --layer, or write all with --raw npz",
            )
        elif output and is_file(output):
            raise UsageError(
                f"{len(wanted)} layers need a folder to go to, not {output!r}",
                hint=f"write '{output}/' if this is one, or name one --layer",
            )
        else:
            folder = os.path.join(output, "") if output else None  # noqa: PTH118
            self.naming = Naming(folder, label, several=several)

    def write(
        self,
        item: Item,
        wanted: ChosenLayer,
        values: NDArray[Any] | None,
        draw: Callable[[], DisplayList],
    ) -> str:
        """Write the numbers of a layer, if any, or the picture that is drawn; an archive is apart.

        Returns
        -------
        str
            What errors and tables call the file.

        Raises
        ------
        UsageError
            Numbers that would upset a terminal, or stdout wanted twice.
        OutputError
            A name that another input's result has, or a file or folder that cannot be made.
        """
        from cnntool.api.pictures import Figure, figure_format

        path = self._place(item, wanted)
        name = str(path or STDOUT)
        if self.suffix == ".npy" and values is not None:
            with self._sink(path) as sink:
                save_array(sink, values)
        elif self.suffix != ".npz":
            format_name = figure_format(f"layer{self.suffix}")
            target = path or sys.stdout.buffer
            Figure(draw()).save(
                target,
                format=format_name,
                width=self._purpose.width,
                overwrite=self._replaces(path),
            )
        return name

    def archive(self, item: Item) -> AbstractContextManager[Archive | None]:
        """Open the archive for the layers of one input; a context of None where there is none."""
        if self.suffix != ".npz":
            return nullcontext()
        return Archive(self._sink(self._place(item, self._wanted[0])))

    def _sink(self, path: Path | None) -> Sink:
        return Sink(path, overwrite=self._replaces(path))

    def _replaces(self, path: Path | None) -> bool:
        return batch_log.begin(self.log, path) or self._purpose.overwrite

    def keep(self, item: Item, outputs: Sequence[str]) -> None:
        """Take the names that an input's results have from an earlier run."""
        for output in outputs:
            self.naming.keep(item, output if self._is_file else str(Path(output).parent))

    def _place(self, item: Item, wanted: ChosenLayer) -> Path | None:
        """Return where the result of a layer goes; None for stdout."""
        if self._is_file:
            as_json = self._purpose.as_json
            return self.naming.place(item, self.suffix, text=False, as_json=as_json)
        number = str(wanted.number).zfill(max(2, len(str(len(self._wanted)))))
        folder = self._folder_of(item)
        make_folder(folder)
        return folder / f"{number}-{safe(wanted.title)}{self.suffix}"

    def _folder_of(self, item: Item) -> Path:
        if self._output and not self._several:
            return Path(self._output)
        folder = self.naming.target(item, "", text=False)
        return folder or Path(f"{item.relative.stem}.{self._label}")  # of stdin


class LayerRow(NamedTuple):
    """A layer that was looked at.

    Attributes
    ----------
    wanted : ChosenLayer
        Which one.
    figures : Statistics
        What its values are like.
    dequantised : bool
        Whether they were whole numbers that stand for others.
    field : ReceptiveField or None
        What a value sees of the picture, where that is known.
    output : str or None
        Where it was written.
    values, shown, view
        For later: numbers for an archive, what a terminal shows, what the page does.
    """

    wanted: ChosenLayer
    figures: Statistics
    dequantised: bool
    field: ReceptiveField | None
    output: str | None
    values: NDArray[Any] | None = None
    shown: str | None = None
    view: LayerView | None = None


def _line(name: str, row: LayerRow) -> list[str]:
    """Write a row for programs."""
    wanted, figures = row.wanted, row.figures
    floats = (figures.minimum, figures.maximum, figures.mean, figures.deviation, figures.sparsity)
    counts = (figures.dead, figures.nan, figures.infinite)
    return [
        name,
        wanted.title,
        wanted.tensor,
        shape_text(figures.shape, "x", ""),
        *(f"{value:.7g}" for value in floats),
        *map(str, counts),
        row.output or "",
    ]


def records(rows: Iterable[LayerRow]) -> list[dict[str, Any]]:
    """Make a record for every name that layers were asked for by."""
    return [{"layer": name, **_record(row)} for row in rows for name in row.wanted.names]


def _record(row: LayerRow) -> dict[str, Any]:
    """Make a record of a row, ready for JSON."""
    figures, field, layer = row.figures, row.field, row.wanted.layer
    known = field is not None and not field.whole
    return {
        "tensor": row.wanted.tensor,
        "number": layer.number or None if layer else None,
        "type": row.wanted.kind or None,
        "ordinal": layer.ordinal or None if layer else None,
        "meaning": row.wanted.words or None,
        "dequantised": row.dequantised,
        **figures._asdict(),
        "receptive_field": [float(n) for n in field.extent] if field and known else None,
        "stride": [float(n) for n in field.jump] if field and known and field.jump else None,
        "sees_all": field.whole if field else None,
        "output": row.output,
    }


def row_of(record: dict[str, Any], wanted: ChosenLayer) -> LayerRow:
    """Make a row, without what it sees, of one of `records` that was read."""
    from math import nan

    from cnntool.nets.inference.layer_outputs import Statistics

    missing = Statistics._field_defaults  # of the others, JSON's null is NaN
    figures: dict[str, Any] = {
        key: nan if record[key] is None and key not in missing else record[key]
        for key in Statistics._fields
    }
    return LayerRow(wanted, Statistics(**figures), record["dequantised"], None, record["output"])


def tell(
    name: str,
    rows: Sequence[LayerRow],
    record: dict[str, Any] | None,
    groups: Groups | None = None,
) -> None:
    """Print the figures, unless stdout holds the result itself.

    Parameters
    ----------
    name : str
        What was looked at.
    rows : sequence of LayerRow
        Its layers.
    record : dict or None
        What JSON says; None where that is not wanted: then people get a table, and programs lines.
    groups : Groups, optional
        The table that the rows belong to, where there are several inputs.
    """
    if any(row.output == STDOUT for row in rows):
        return
    form = form_of(as_json=record is not None)
    if form == "jsonl":
        emit_record(record)
    elif form == "table":
        _table(name, rows, groups)
        _say_where(rows)
    else:
        emit((), [_line(name, row) for row in rows], form)


def _say_where(rows: Sequence[LayerRow]) -> None:
    """Say on a terminal where the results are."""
    outputs = list(dict.fromkeys(row.output for row in rows if row.output))
    if len(outputs) == 1:
        console.result(f"written to {outputs[0]}")
    elif outputs:
        console.result(f"{len(outputs)} files in {Path(outputs[0]).parent}")


def _table(name: str, rows: Sequence[LayerRow], groups: Groups | None) -> None:
    """Print rows for people."""
    odd = any(row.figures.nan or row.figures.infinite for row in rows)
    numbers = ["shape", "min", "max", "mean", "deviation", "zeros", "dead"]
    numbers += ["NaN", "infinite"] if odd else []
    cells = []
    for row in rows:
        figures = row.figures
        floats = (figures.minimum, figures.maximum, figures.mean, figures.deviation)
        dead = f"{figures.dead}/{figures.maps}" if figures.dead else "-"
        line = [
            row.wanted.title,
            shape_text(figures.shape, "x", ""),
            *(f"{value:.3g}" for value in floats),
            f"{figures.sparsity:.0%}",
            dead if len(figures.shape) > 1 else "",
        ]
        cells.append([*line, *([str(figures.nan), str(figures.infinite)] if odd else [])])
    columns = [Column("layer")]
    columns += [Column(one, right=True, spare=one == "deviation") for one in numbers]
    if groups is None:
        console.result(name)
        emit(columns, cells, "table", look="tight")
    else:
        groups.add(name, columns, cells)
    _remarks(rows)


def _remarks(rows: Sequence[LayerRow]) -> None:
    """Say below the table which maps are dead, and where 8 bits or float16 do not reach.

    Of several layers, of those that have learned what they do: others only hand it on.
    """
    remarks = []
    for row in rows:
        if len(rows) > 1 and row.wanted.kind not in {"conv", "dense"}:
            continue
        figures = row.figures
        if 0 < figures.dead == len(figures.dead_maps) < figures.maps:
            numbers = ", ".join(map(str, figures.dead_maps[:_NUMBERS]))
            rest = f" and {figures.dead - _NUMBERS} more" if figures.dead > _NUMBERS else ""
            dead = counted(figures.dead, "dead map")
            remarks.append(f"{row.wanted.title}: {dead}: {numbers}{rest}")
        for share, words in (
            (figures.saturated, "8-bit values lie at the ends of the range"),
            (figures.subnormal, "values are subnormal: near 0 they lose digits"),
        ):
            if share and share >= _TOLD:
                remarks.append(f"{row.wanted.title}: {share:.1%} of its {words}")
    for remark in remarks[:_REMARKS]:
        prose(remark)
    if len(remarks) > _REMARKS:
        more = counted(len(remarks) - _REMARKS, "remark")
        console.result(f"and {more} more: --json has all figures")
