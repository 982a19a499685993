"""``cnntool explain``: what in a picture speaks for a class."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from cnntool.cli import console, options
from cnntool.cli.inputs import Naming, Pictures, Reading, inputs_or_stdin, is_several, reading
from cnntool.cli.network_options import (
    begin,
    facts_of,
    hold_time,
    labels,
    model_option,
    opened,
    output_name,
    preprocessing,
    running,
    say_where,
)
from cnntool.cli.output import Column, emit, emit_record, form_of
from cnntool.errors import CnntoolError, ModelError, OutputError, UsageError
from cnntool.image.files import expand
from cnntool.nets.attribution.methods import DEFAULT, METHODS

if TYPE_CHECKING:
    from cnntool.api.explain import Explainer, Explanation, Explanations
    from cnntool.cli.inputs import Loaded
    from cnntool.nets.attribution.insertion_deletion import Curve
    from cnntool.nets.inference.presets import Overrides
    from cnntool.nets.runtime.providers import SessionSettings

STYLES = ("overlay", "heat", "side-by-side")
"""The keys of `cnntool.views.heat_map.STYLES`, which would load numpy."""


@click.command("explain")
@options.inputs
@model_option
@click.option(
    "--method",
    "methods",
    type=click.Choice(list(METHODS)),
    multiple=True,
    default=[DEFAULT],
    show_default=True,
    help="How to explain; may be repeated. occlusion and rise take seconds to minutes.",
)
@click.option(
    "--class",
    "targets",
    multiple=True,
    metavar="NAME|INDEX|rank:N",
    help="What to explain; may be repeated.  [default: rank:1, the likeliest class]",
)
@click.option(
    "-l",
    "--layer",
    metavar="NAME",
    help="The layer that gradcam and layercam look at; 'cnntool layers' lists the names."
    "  [default: the last one whose maps have more than one place]",
)
@click.option(
    "--style",
    type=click.Choice(STYLES),
    default=STYLES[0],
    show_default=True,
    help="The maps on the photo, alone, or beside it.",
)
@click.option(
    "--score",
    is_flag=True,
    help="Measure insertion and deletion, beside those of random patches and of the centre.",
)
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Of what smoothgrad, rise and --score draw at random.",
)
@click.option(
    "--raw",
    type=click.Choice(["npz", "npy"]),
    help="Write the maps instead of a picture: float32 of the photo's size, NaN where the network"
    " saw nothing.",
)
@options.output
@options.format_name
@preprocessing(output_name, labels)
@reading
@options.json_lines
@running
@options.talk
def command(
    *,
    inputs: tuple[Path, ...],
    recursive: bool,
    model: str,
    methods: tuple[str, ...],
    targets: tuple[str, ...],
    layer: str | None,
    style: str,
    score: bool,
    seed: int,
    raw: str | None,
    output: str | None,
    overwrite: bool,
    format_name: str | None,
    reading: Reading,
    as_json: bool,
    overrides: Overrides,
    settings: SessionSettings,
) -> int:
    """Show what in a picture speaks for a class, as heat maps.

    INPUT is a file, a folder, or '-' for stdin, which is also read when something is piped in. The
    photo and its maps, of all methods and classes that are asked for, make one picture, called
    INPUT.explain.png, in the working directory; --output names another file or folder. What the
    network did not see of the photo is hatched.

    Lines in a pipe hold the input, the method, the class, its index, its probability, its score
    before the softmax, the layer and the file; with --score also insertion, that of random patches,
    that of the centre, and the same three of deletion.
    """
    paths = inputs_or_stdin(inputs)
    several = is_several(paths)
    naming = Naming(output, "explain", several=several)
    suffix = _suffix(naming, raw, output, format_name)
    with opened(model, overrides, settings) as (network, _):
        from cnntool.api.explain import Explainer

        progress = console.Progress("explaining")
        with hold_time(settings.timeout, model):
            explainer = Explainer(
                network,
                methods,
                targets,
                layer,
                seed=seed,
                score=score,
                progress=None if several else lambda _, done, total: progress.reach(done, total),
            )
        begin(network, explainer.plan)
        pictures = Pictures(
            expand(paths, recursive=recursive, results=naming.folder, matrices=False),
            explainer.prepare,
            reading,
        )
        work = _Work(explainer, naming, suffix, style, seed, overwrite, as_json)
        with progress:
            for loaded in progress.track(pictures) if several else pictures:
                try:
                    work.one(loaded)
                except ModelError as error:
                    pictures.fail(error, of=loaded.item.name)
                except CnntoolError as error:
                    pictures.fail(error)
        return pictures.code


def _suffix(naming: Naming, raw: str | None, output: str | None, format_name: str | None) -> str:
    """Settle what is written, before a network runs for it: the suffix of its format."""
    from cnntool.cli.layer_files import check_picture, raw_format
    from cnntool.image.files import FORMATS, format_of

    if raw := raw_format(raw, output):
        if format_name is not None:
            raise UsageError(f"--raw {raw} and --format {format_name} contradict each other")
        return f".{raw}"
    suffix = FORMATS[format_name].suffixes[0] if format_name else ".png"
    if naming.named and not format_name:
        check_picture(naming.named)
        suffix = Path(naming.named).suffix
    if format_of(f"map{suffix}").matrix:
        raise OutputError(
            f"a figure is a picture, no {suffix[1:]}", hint="--raw npy writes the numbers of a map"
        )
    return suffix


class _Work(NamedTuple):
    """Explains one picture after another, and writes and prints what is found."""

    explainer: Explainer
    naming: Naming
    suffix: str
    style: str
    seed: int
    overwrite: bool
    as_json: bool

    def one(self, loaded: Loaded) -> None:
        from cnntool.cli.layer_files import STDOUT

        start = time.perf_counter()
        network, name = self.explainer.model, loaded.item.name
        found = self.explainer.explain(loaded.made)
        say_where(network)
        target = self.naming.place(loaded.item, self.suffix, text=False, as_json=self.as_json)
        output = str(target or STDOUT)
        if self.suffix in {".npy", ".npz"}:
            self._write_maps(found, target)
        else:
            self._draw(found, Path(name).name, target, output)
        if target is None:
            for one in found:
                console.note(f"{name}: {one.method} of {one.label}, {one.probability:.1%}")
        elif self.as_json:
            record = {
                "input": name,
                **facts_of(network, self.explainer.plan),
                "explanations": [_record(one) for one in found],
                "seed": self.seed,
                "output": output,
                "milliseconds": (time.perf_counter() - start) * 1e3,
            }
            emit_record(record)
        else:
            _tell(name, found, output)

    def _write_maps(self, found: Explanations, target: Path | None) -> None:
        import numpy as np

        from cnntool.api.activations import Archive, save_array
        from cnntool.cli.layer_files import Sink

        sink = Sink(target, overwrite=self.overwrite)
        if self.suffix == ".npz":
            with Archive(sink) as archive:
                for one in found:
                    archive.add(_key(one), one.map)
        else:
            maps = [one.map for one in found]
            with sink:
                save_array(sink, maps[0] if len(maps) == 1 else np.stack(maps))

    def _draw(self, found: Explanations, title: str, target: Path | None, name: str) -> None:
        from cnntool.image.files import format_of, write_image
        from cnntool.image.source import ImageInfo

        pixels = found.figure(self.style, title=title, detail=self.explainer.model.name).pixels
        write_image(
            target or sys.stdout.buffer,
            pixels,
            ImageInfo(*pixels.shape),
            name=name,
            format=format_of(f"figure{self.suffix}").name,
            overwrite=self.overwrite,
        )


def _key(one: Explanation) -> str:
    """Name a map in an archive."""
    return f"{one.method}-{one.index}"


def _record(one: Explanation) -> dict[str, Any]:
    import numpy as np

    seen = one.map[np.isfinite(one.map)]
    return {
        "key": _key(one),
        "method": one.method,
        "index": one.index,
        "label": one.label,
        "probability": one.probability,
        "score": one.score,
        "layer": one.layer or None,
        "shape": list(one.map.shape),
        "computed": list(one.attribution.shape),
        "minimum": float(seen.min()) if seen.size else None,
        "maximum": float(seen.max()) if seen.size else None,
        "seen": seen.size / one.map.size,
        "facts": dict(one.facts),
        "insertion": _curve(one.insertion),
        "deletion": _curve(one.deletion),
    }


def _curve(curve: Curve | None) -> dict[str, Any] | None:
    if curve is None:
        return None
    return {**curve._asdict(), "values": curve.values.tolist()}


def _tell(name: str, found: Explanations, output: str) -> None:
    """Print a table for people, lines for programs."""
    form = form_of()
    digits = ".1%" if form == "table" else ".6g"
    columns = [
        Column("input", people=False),
        Column("method"),
        Column("class", gives="cut"),
        Column("index", people=False),
        Column("probability", right=True),
        Column("score", people=False),
        Column("layer", gives="cut"),
        Column("file", people=False),
    ]
    scored = found[0].insertion is not None
    for title in ("insertion", "deletion") if scored else ():
        columns += [Column(word, right=True) for word in (title, "random", "centre")]
    rows = []
    for one in found:
        row = [name, one.method, one.label, str(one.index), format(one.probability, digits)]
        row += [f"{one.score:.6g}", one.layer, output]
        for curve in filter(None, (one.insertion, one.deletion)):
            row += [f"{value:.3f}" for value in (curve.area, curve.random, curve.centre)]
        rows.append(row)
    if form == "table":
        console.result(name)
    emit(columns, rows, form, look="tight")
    if form == "table":
        console.result(f"written to {output}")
