"""Output of layers: pictures one after another, computed, drawn, written and described."""

from __future__ import annotations

from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from cnntool.api.activations import LayerOutputs
from cnntool.cli import console
from cnntool.cli.inputs import Loaded, Pictures
from cnntool.cli.layer_files import (
    LayerFiles,
    LayerRow,
    records,
    row_of,
    tell,
)
from cnntool.cli.network_options import facts_of, say_where
from cnntool.cli.output import Groups
from cnntool.cli.screen import Screen
from cnntool.cli.top_patches import top_patches
from cnntool.errors import InputError, ModelError, OutputError
from cnntool.image.atomic import Output
from cnntool.image.files import Item, expand
from cnntool.shapes.text import counted, shape_text
from cnntool.system import usable_cpus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from cnntool.api.activations import ChosenLayer
    from cnntool.api.page import PageWriter
    from cnntool.cli.batch_log import BatchLog
    from cnntool.cli.inputs import Reading
    from cnntool.cli.layer_files import Purpose
    from cnntool.nets.network import Network

    Tensors = Iterable[tuple[str, NDArray[Any]]]


class _Mean(NamedTuple):
    """Stands where a picture stands that was fed: of all of them, the shape of the first."""

    shape: tuple[int, ...]
    photo: None = None
    tensor: None = None


class Work:
    """One command line: layers of a network, and what is to become of them.

    Parameters
    ----------
    network : Network
        The network.
    chosen : sequence of ChosenLayer
        The layers.
    purpose : Purpose
        What is to become of them.
    several : bool
        Whether there may be more than one input.
    """

    def __init__(
        self,
        network: Network,
        chosen: Sequence[ChosenLayer],
        purpose: Purpose,
        *,
        several: bool,
    ) -> None:
        self.network = network
        self.purpose = purpose
        self._several = several
        self._groups = Groups("tight") if several and not purpose.average else None
        self._screen = Screen() if purpose.show else None
        plan = network.plan()
        extras = plan.taps if purpose.report and plan.classifies else ()
        self.outputs = LayerOutputs(network, chosen, extras)
        self._page: PageWriter | None = None
        if purpose.report is not None:
            from cnntool.api.page import PageWriter

            self._page = PageWriter(
                self.outputs,
                purpose.drawing,
                spell=console.as_options,
                units=purpose.units,
                method=purpose.explain,
            )
        several = several and not (purpose.average or purpose.top_patches)
        self.files = (
            LayerFiles(purpose, chosen, "activations", several=several) if purpose.writes else None
        )

    def items(self, paths: Sequence[Path], *, recursive: bool) -> Iterable[Item]:
        """Return the pictures that inputs stand for."""
        found = self.files.naming.items if self.files else expand
        return found(paths, recursive=recursive, matrices=False)

    @property
    def chosen(self) -> list[ChosenLayer]:
        """The layers, in the order of the network."""
        return list(self.outputs.chosen.values())

    def run(self, items: Iterable[Item], reading: Reading, log: BatchLog | None) -> int:
        """Look at every picture; a bad one is reported and the others go on.

        With a log, each picture is looked at for itself.

        Returns
        -------
        int
            0, the exit code of the error of an only input, or 1 if some of several failed.
        """
        if self._page is None or self.purpose.report is None:
            return self._look_at_all(items, reading, log)
        from cnntool.cli.page import write_page

        if self.purpose.patches and not self.purpose.patches.exists():
            raise InputError("no such folder", source=f"--patches {self.purpose.patches}")
        with Output(self.purpose.report, overwrite=self.purpose.overwrite) as file:
            code = self._look_at_all(items, reading, log)
            write_page(self._page, file, self.outputs, self.purpose, reading)
        return code

    def _look_at_all(self, items: Iterable[Item], reading: Reading, log: BatchLog | None) -> int:
        from cnntool.nets.inference.preprocess import prepared

        purpose, entry = self.purpose, self.outputs.plan.input
        if purpose.top_patches:
            return top_patches(self.outputs, self.files, purpose, items, reading)
        photo = purpose.drawing.needs_photo or purpose.figure or purpose.report is not None
        pictures = Pictures(
            items, partial(prepared, entry=entry, photo=photo), reading, log, self._again
        )
        if self.files is not None:
            self.files.log = log
        if purpose.average:
            self._average(pictures)
            return pictures.finish()
        with console.Progress("looking at layers" if not self._several else "looking") as progress:
            fed = ((loaded, loaded.made.tensor) for loaded in pictures)
            stream: Any = self.outputs.stream(fed)
            for loaded, tensors in progress.track(stream, pictures) if self._several else stream:
                say_where(self.network)
                track = partial(progress.track, of=self.chosen) if not self._several else iter
                try:
                    record = self.look(loaded, tensors, track, logged=log is not None)
                except (InputError, OutputError) as error:
                    pictures.fail(loaded.item, error)
                else:
                    pictures.done(loaded, record)
        return pictures.finish()

    def _again(self, item: Item, line: dict[str, Any]) -> None:
        """Tell of a picture with which an earlier run is done."""
        record, outputs = line["result"], line["output"]
        found = {one["tensor"]: one for one in record["layers"]}
        rows = [row_of(one, self.outputs.chosen[tensor]) for tensor, one in found.items()]
        if self.files is not None:
            self.files.keep(item, outputs)
        tell(item.name, rows, record if self.purpose.as_json else None, self._groups)

    def _average(self, pictures: Pictures) -> None:
        """Average the layers over all pictures, then treat the means as one picture's layers."""
        info = None

        def fed() -> Iterator[tuple[str, NDArray[Any]]]:
            nonlocal info
            for loaded in pictures:
                info = info or loaded.info
                yield loaded.item.name, loaded.made.tensor

        with console.Progress("averaging") as progress:
            count, shape, means = self.outputs.average(progress.track(fed(), of=pictures))
        say_where(self.network)
        assert info is not None  # noqa: S101 - there was a picture, else there is no average
        item = Item(Path("mean"), f"mean of {counted(count, 'picture')}", Path("mean"))
        self.look(Loaded(item, info, _Mean(shape)), means, iter)

    def look(
        self,
        loaded: Loaded,
        tensors: Tensors,
        track: Callable[..., Iterable[Any]],
        *,
        logged: bool = False,
    ) -> dict[str, Any]:
        """Draw, write and describe the layers of one picture.

        Returns
        -------
        dict
            The record, where one is wanted; else empty.
        """
        from cnntool.threads import ordered_map

        extras: dict[str, NDArray[Any]] = {}
        jobs = self.outputs.split(tensors, extras)
        found = ordered_map(partial(self._layer, loaded), jobs, usable_cpus())
        looked = self._written(loaded, track(found))
        if self._page is not None:
            views = [row.view for row in looked if row.view is not None]
            name = str(loaded.item.relative)
            self._page.add(name, loaded.info, loaded.made, views, extras)
        record = self._record(loaded, looked, wanted=logged or self.purpose.as_json)
        tell(loaded.item.name, looked, record if self.purpose.as_json else None, self._groups)
        return record

    def _written(self, loaded: Loaded, found: Iterable[LayerRow]) -> list[LayerRow]:
        """Take the layers as they come; keep only what is needed later."""
        looked = []
        with self.files.archive(loaded.item) if self.files else nullcontext() as archive:
            for one in found:
                if archive is not None and one.values is not None:
                    archive.add(one.wanted.keys(self.chosen), one.values)
                if self._screen is not None and one.shown is not None:
                    self._screen.show(one, one.shown)
                looked.append(one._replace(values=None, shown=None))
        return looked

    def _layer(self, loaded: Loaded, job: tuple[ChosenLayer, NDArray[Any]]) -> LayerRow:
        """Make of one layer what was asked for; this runs on several threads."""
        wanted, raw = job
        made = self.outputs.output(wanted, raw, loaded.made.shape)
        _, values, figures, dequantised, field = made
        purpose = self.purpose
        if not values.size and (purpose.draws or purpose.show or purpose.report):
            raise ModelError(
                f"{wanted.title!r} has no values to draw: {shape_text(figures.shape)}",
                source=self.network.name,
                hint="--stats-only and --raw take it",
            )
        photo, name = loaded.made.photo, Path(loaded.item.name).name
        screen, view, output = None, None, None
        if self._screen is not None and self._screen.active:
            labels = self.outputs.labels(wanted, values)
            screen = self._screen.draw(purpose.drawing, values, photo=photo, labels=labels)
        if self._page is not None:
            view = self._page.view(made, loaded.made.shape)
        if self.files is not None:
            from cnntool.api.figures import layer_sheet

            draw = partial(
                layer_sheet, self.outputs, made, purpose.drawing, photo, name, beside=purpose.figure
            )
            output = self.files.write(loaded.item, wanted, values, draw)
        kept = values if purpose.raw == "npz" else None
        return LayerRow(wanted, figures, dequantised, field, output, kept, screen, view)

    def _record(self, loaded: Loaded, rows: list[LayerRow], *, wanted: bool) -> dict[str, Any]:
        """Note what is odd about the figures, and make the record if that is wanted."""
        if any(row.dequantised for row in rows):
            console.note("the network is quantised: its layers are shown dequantised")
        if self.purpose.drawing.style == "diverging" and self.purpose.draws:
            positive = [row.wanted.title for row in rows if row.figures.minimum >= 0]
            if positive:
                console.note(
                    f"{', '.join(positive)}: no value is negative, so half of the colours of"
                    " --style diverging stay unused; --style viridis has more"
                )
        fault = None
        if loaded.made.tensor is not None:
            figures = (row.figures for row in rows)
            fault = self.outputs.find_fault(loaded.made.tensor, figures, loaded.item.name)
        if not wanted:
            return {}
        return {
            "input": loaded.item.name,
            **facts_of(self.network, self.outputs.plan),
            "fault": fault.record(self.network.read_layers().rows) if fault else None,
            "layers": records(rows),
        }
