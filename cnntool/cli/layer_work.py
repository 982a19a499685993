"""Layers of pictures, one after another: computed, drawn, written, described."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from cnntool.cli import console
from cnntool.cli.layer_files import (
    LayerFiles,
    archive_for,
    keys_of,
    write_array,
    write_picture,
)
from cnntool.cli.layer_table import Row, shape_text, tell
from cnntool.cli.prepared import prepared
from cnntool.cli.showing import Screen
from cnntool.errors import InputError, ModelError, OutputError
from cnntool.system import usable_cpus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from cnntool.cli.looking import Wanted
    from cnntool.cli.maps import Drawing
    from cnntool.cli.network import Network
    from cnntool.cli.paths import Item
    from cnntool.cli.pictures import Loaded
    from cnntool.nets.flow import Flow
    from cnntool.nets.receptive_rules import Field

    Tensors = Iterable[tuple[str, NDArray[Any]]]


class Purpose(NamedTuple):
    """What is to become of the layers.

    Attributes
    ----------
    drawing : Drawing
        How they are drawn.
    output, overwrite
        The options of these names.
    raw : str or None
        ``npz`` or ``npy`` for numbers, None for pictures.
    writes : bool
        Whether files are written at all.
    show : bool
        Whether they are drawn in the terminal.
    report : Path or None
        The page to write.
    average, patches : bool
        Whether all inputs together are looked at: their mean, or what excites maps most.
    as_json : bool
    """

    drawing: Drawing
    output: str | None
    overwrite: bool
    raw: str | None
    writes: bool
    show: bool
    report: Path | None
    average: bool
    patches: bool
    as_json: bool


class Looked(NamedTuple):
    """A layer that was looked at, and what was made of it for later."""

    row: Row
    values: NDArray[Any] | None
    shown: str | None
    drawn: NDArray[Any] | None


class Work:
    """One command line: layers of a network, and what is to become of them.

    Parameters
    ----------
    network : Network
        Not opened yet: it is told what to compute.
    flow : Flow
        Of the network.
    chosen : sequence of Wanted
        The layers.
    purpose : Purpose
        What is to become of them.
    several : bool
        Whether there may be more than one input.
    """

    def __init__(
        self,
        network: Network,
        flow: Flow,
        chosen: Sequence[Wanted],
        purpose: Purpose,
        *,
        several: bool,
    ) -> None:
        from cnntool.nets.activations import Taps

        self.network = network
        self.purpose = purpose
        self.flow = flow
        self._wanted = {one.tensor: one for one in chosen}
        self._several = several
        self._screen = Screen() if purpose.show else None
        tensors = [one.tensor for one in chosen]
        self._extras = network.plan.taps if purpose.report and network.plan.classifies else ()
        self.taps = Taps(
            network.graph,
            [*tensors, *self._extras],
            network.plan.input,
            network.settings,
            name=network.plan.name,
        )
        network.taps, network.settings = self.taps.first, self.taps.settings
        together = purpose.average or purpose.patches
        self.files = LayerFiles(
            purpose.output,
            chosen,
            f".{purpose.raw or 'png'}",
            several=several and not together,
            label="activations",
            as_json=purpose.as_json,
        ) if purpose.writes else None  # fmt: skip
        self._fields: dict[tuple[int, ...], dict[str, Field]] = {}

    @property
    def folder(self) -> Path | None:
        """The folder that results go to, which is none of the inputs."""
        return self.files.folder if self.files else None

    @property
    def chosen(self) -> list[Wanted]:
        """The layers, in the order of the network."""
        return list(self._wanted.values())

    def run(self, items: Iterable[Item], *, max_pixels: int, strict: bool, fail_fast: bool) -> int:
        """Look at every picture; a bad one is reported and the others go on.

        Returns
        -------
        int
            0, the exit code of the error of an only input, or 1 if some of several failed.
        """
        from cnntool.cli.pictures import Pictures

        purpose = self.purpose
        photo = purpose.drawing.needs_photo or purpose.report is not None

        def load(items: Iterable[Item], prepare: Callable[..., Any]) -> Pictures:
            return Pictures(
                items,
                prepare,
                threads=usable_cpus(),
                max_pixels=max_pixels,
                strict=strict,
                fail_fast=fail_fast,
            )

        if purpose.patches:
            from cnntool.cli.exciting import top_patches

            return top_patches(self, items, load)
        entry = self.network.plan.input
        pictures = load(items, partial(prepared, entry=entry, photo=photo))
        if purpose.average:
            from cnntool.cli.averaging import average

            return average(self, pictures)
        with console.Progress("looking at layers" if not self._several else "looking") as progress:
            stream: Any = self.stream(pictures)
            for loaded, tensors in progress.track(stream) if self._several else stream:
                track = (
                    partial(progress.track, total=len(self._wanted)) if not self._several else iter
                )
                try:
                    self.look(loaded, tensors, track)
                except (InputError, OutputError) as error:
                    pictures.fail(error)
        return pictures.code

    def stream(self, pictures: Iterable[Loaded]) -> Iterator[tuple[Loaded, Tensors]]:
        """Compute the layers of pictures."""
        made = ((loaded, loaded.made.tensor) for loaded in pictures)
        for loaded, tensors in self.taps.stream(self.network.session, made):
            self.network.placement  # noqa: B018 - says once where it runs
            yield loaded, tensors

    def look(self, loaded: Loaded, tensors: Tensors, track: Callable[..., Iterable[Any]]) -> None:
        """Draw, write and describe the layers of one picture."""
        from cnntool.threads import ordered_map

        extras: dict[str, NDArray[Any]] = {}

        def jobs() -> Iterator[tuple[Wanted, NDArray[Any]]]:
            for tensor, values in tensors:
                if tensor in self._extras:
                    extras[tensor] = values[None]
                if tensor in self._wanted:
                    yield self._wanted[tensor], values

        found = ordered_map(partial(self._layer, loaded), jobs(), usable_cpus())
        looked = self._written(loaded, track(found))
        if self.purpose.report is not None:
            from cnntool.cli.layer_report import write_report

            write_report(self, loaded, looked, extras)
        self._tell(loaded, [one.row for one in looked])

    def _written(self, loaded: Loaded, found: Iterable[Looked]) -> list[Looked]:
        """Take the layers as they come; keep only what is needed later."""
        looked = []
        with archive_for(
            self.files, loaded.item, self.chosen, overwrite=self.purpose.overwrite
        ) as archive:
            for one in found:
                if archive is not None and one.values is not None:
                    for key in keys_of(one.row.wanted, self.chosen):
                        archive.add(key, one.values)
                if self._screen is not None and one.shown is not None:
                    self._screen.show(one.row, one.shown)
                looked.append(one._replace(values=None, shown=None))
        return looked

    def _layer(self, loaded: Loaded, job: tuple[Wanted, NDArray[Any]]) -> Looked:
        """Make of one layer what was wished; this runs on several threads."""
        from cnntool.nets.shown import shown
        from cnntool.nets.statistics import statistics
        from cnntool.views.board import Caption

        wanted, raw = job
        field = self.fields(loaded).get(wanted.tensor)
        values, dequantised = shown(self.network.graph, wanted.tensor, raw, field)
        made_by = self.network.graph.producer_of.get(wanted.tensor)
        dequantised |= made_by is not None and made_by.op == "DequantizeLinear"
        figures = statistics(values)
        purpose = self.purpose
        drawn_files = purpose.writes and purpose.raw is None
        if not values.size and (drawn_files or purpose.show or purpose.report):
            raise ModelError(
                f"{wanted.title!r} has no values to draw: {shape_text(figures.shape)}",
                source=self.network.plan.name,
                hint="--stats-only and --raw take it",
            )
        draw = partial(
            self.purpose.drawing.picture,
            photo=getattr(loaded.made, "photo", None),
            labels=self.labels(wanted, values),
        )
        tensor = [wanted.tensor] if wanted.tensor != wanted.title else []
        facts = [shape_text(figures.shape), *tensor, Path(loaded.item.name).name]
        caption = Caption(wanted.title, ", ".join(facts))
        screen, drawn, output = None, None, None
        if self._screen is not None and self._screen.active:
            screen = self._screen.draw(self.purpose.drawing, values, **draw.keywords)
        if self.purpose.report is not None:
            from cnntool.cli.layer_report import page_columns

            drawn = draw(values, Caption(), columns=page_columns(values.shape))
        if self.files is not None:
            place = self.files.place(loaded.item, wanted)
            output = place.name
            if self.files.suffix == ".npy":
                write_array(place, values, overwrite=self.purpose.overwrite)
            elif self.files.suffix != ".npz":
                picture = draw(values, caption)
                write_picture(place, picture, self.files.suffix, overwrite=self.purpose.overwrite)
        row = Row(wanted, figures, dequantised, field, output)
        return Looked(row, values if self.purpose.raw == "npz" else None, screen, drawn)

    def fields(self, loaded: Loaded) -> dict[str, Field]:
        """Return what the tensors see of a picture."""
        return self.fields_of_shape(loaded.made.tensor.shape)

    def fields_of_shape(self, shape: tuple[int, ...]) -> dict[str, Field]:
        """Return what tensors see of what goes in with this shape, without its batch."""
        from cnntool.nets.receptive_field import fields_of

        if shape not in self._fields:
            name = self.network.plan.input.name
            whole = (self.network.plan.input.batch or 1, *shape)
            self._fields[shape] = fields_of(self.network.graph, self.flow, name, whole)
        return self._fields[shape]

    def labels(self, wanted: Wanted, values: NDArray[Any]) -> list[str] | None:
        """Return the names of a vector's places where these are the classes."""
        plan = self.network.plan
        if plan.labels is None or values.ndim != 1:
            return None
        names = [*(["background"] if plan.output.background else []), *plan.labels.names]
        scores = wanted.tensor in plan.taps or wanted.title.startswith("predictions")
        return names if scores and len(names) == len(values) else None

    def _tell(self, loaded: Loaded, rows: list[Row]) -> None:
        """Print the figures."""
        if any(row.dequantised for row in rows):
            console.note("the network is quantised: its layers are shown dequantised")
        facts = {"input": loaded.item.name, **self.network.facts} if self.purpose.as_json else None
        tell(loaded.item.name, rows, facts)
