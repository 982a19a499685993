"""``cnntool diff``: where two networks, devices, settings or pictures part."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from operator import length_hint
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from cnntool.cli import console, options, param_types
from cnntool.cli.differences import print_channels, print_layers, print_weights, summary
from cnntool.cli.inputs import (
    Pictures,
    Reading,
    figure_suffix,
    inputs_or_sample,
    make_folder,
    reading,
)
from cnntool.cli.network_options import (
    LAYER,
    begin,
    hold_time,
    labels,
    layer_option,
    limits,
    output_name,
    preparation,
    preprocessing,
)
from cnntool.cli.output import emit_record, form_of
from cnntool.errors import FigureError, InputError, UsageError
from cnntool.image.atomic import Output
from cnntool.image.files import expand
from cnntool.shapes.text import counted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from cnntool.api.comparison import (
        Comparer,
        Comparison,
        OutputDifference,
        Ready,
    )
    from cnntool.image.files import Item
    from cnntool.nets.inference.presets import Overrides
    from cnntool.nets.network import Network
    from cnntool.nets.runtime.providers import SessionSettings


class Compared(NamedTuple):
    """What is compared: two networks, or one under two settings or with two pictures.

    Attributes
    ----------
    networks : (str, str)
        Their names.
    photos : list of Path
        What they look at.
    beside : bool
        Whether the second one looks at the second photo.
    """

    networks: tuple[str, str]
    photos: Sequence[Path]
    beside: bool


@click.command("diff")
@click.argument("names", nargs=-1, type=param_types.MODEL, metavar="A [B] [PHOTO]...")
@click.option(
    "-m",
    "--model",
    type=param_types.MODEL,
    metavar="NAME|FILE",
    help="One network: what is named are two pictures for it, or photos for two settings.",
)
@options.setting(
    "--device",
    type=param_types.DEVICES,
    default="auto",
    show_default=True,
    help="Where the networks run; 'cpu,cuda' are the first one's and the second one's.",
)
@click.option(
    "--optimise",
    type=param_types.LEVEL,
    default=(),
    help="How far onnxruntime may optimise: none, basic or all; 'none,all' are the first one's and"
    " the second one's.  [default: as far as no number changes]",
)
@click.option("-r", "--recursive", is_flag=True, help="Look into the folders of a folder too.")
@click.option(
    "--tolerance",
    type=param_types.Real(min=0),
    metavar="SHARE",
    help="The own error with which a layer diverges.  [default: 0.001 for float32, 0.01 for"
    " float16, 0.1 for 8 bits]",
)
@click.option(
    "--weights",
    is_flag=True,
    help="Compare what the layers have learned, without a run: shapes, values, added and removed"
    " layers.",
)
@click.option(
    "--map",
    "by_hand",
    type=param_types.FILE,
    metavar="FILE",
    help="Partners by hand: in each line a layer of A and one of B, with a tab or spaces between.",
)
@layer_option(
    "queries",
    multiple=True,
    help="A layer of A to draw with --output; may be repeated.  [default: the first that diverges,"
    " else the worst]",
)
@click.option(
    "--per-channel",
    type=LAYER,
    metavar="LAYER",
    help="Tell the maps of a layer of A apart, worst first.",
)
@click.option(
    "-o",
    "--output",
    type=param_types.FILE,
    metavar="DIR|FILE",
    help="Draw layers of both networks and their differences: a folder, or a picture or .svg for"
    " one layer.",
)
@options.figure_format
@options.width
@click.option(
    "--html",
    type=param_types.FILE,
    metavar="FILE",
    help="Write one HTML page with a row and a picture for each pair of layers.",
)
@options.overwrite
@click.option(
    "--min-sqnr",
    type=param_types.Real(),
    metavar="DB",
    help="Exit with 7 if the network's answer has less: its scores before the softmax where both"
    " networks tell them. 'inf' wants equality.",
)
@click.option(
    "--min-agreement",
    type=param_types.SHARE,
    help="Exit with 7 if both say the same of fewer photos.",
)
@preprocessing(output_name, labels)
@reading
@options.json_lines
@limits()
@options.talk
def command(
    *,
    names: tuple[str, ...],
    model: str | None,
    device: tuple[str, ...],
    optimise: tuple[str, ...],
    recursive: bool,
    tolerance: float | None,
    weights: bool,
    by_hand: Path | None,
    queries: tuple[str, ...],
    per_channel: str | None,
    output: Path | None,
    html: Path | None,
    format_name: str | None,
    width: int | None,
    overwrite: bool,
    min_sqnr: float | None,
    min_agreement: float | None,
    overrides: Overrides,
    reading: Reading,
    as_json: bool,
    settings: SessionSettings,
) -> int:
    """Compare two networks layer by layer: where numbers part, and which layer is to blame.

    A and B are names or .onnx files: float and int8, before and after an optimiser, exports of one
    network. With two devices or two levels A alone will do; with -m NET two pictures are compared.
    Without a PHOTO the sample is taken. Layers become partners by structure and weights, not by
    name or number.

    Each pair gets its accumulated error, each network on its own, and its own error: B's layer fed
    with A's numbers. Every layer of an 8-bit network differs; the first that diverges is the first
    whose own error passes --tolerance.

    Lines in a pipe hold the number, the layers of A and B, kind, shape, SQNR in decibels, error,
    cosine, the largest difference, its place and photo, the worst photo's error and name, the same
    of the own error (SQNR, error, worst, photo), values that are NaN or infinite on one side, and
    whether it diverges.
    """
    if weights:
        refused = {
            "-m": model,
            "--per-channel": per_channel,
            "--output": output,
            "--html": html,
            "--layer": queries,
            "--tolerance": tolerance,
            "--min-agreement": min_agreement,
            "a second device": device[1:],
            "--optimise": optimise,
        }
        for option, value in refused.items():
            if value not in {None, ()}:
                raise UsageError(
                    f"--weights compares two files without a run, and {option} was given"
                )
        return _compare_weights(names, by_hand, min_sqnr, settings, as_json=as_json)
    what = _compared(names, model, settings=max(len(device), len(optimise)))
    if queries and output is None:
        raise UsageError("--layer says what --output draws, and that was not given")
    partners = _read_map(by_hand) if by_hand else {}
    from cnntool.api.comparison import Comparer

    with ExitStack() as stack:
        networks = _read(what, device, overrides, settings, stack)
        comparer = Comparer(
            *networks,
            optimise=((*optimise, None, None)[0], (*optimise, *optimise, None, None)[1]),
            tolerance=tolerance,
            by_hand=partners,
        )
        for network, plan in zip(networks, comparer.plans, strict=True):
            begin(network, plan)
        _check_names(networks[0], queries, per_channel)
        work = _Work(comparer, what, reading, recursive=recursive)
        page = stack.enter_context(Output(html, overwrite=overwrite)) if html else None
        found = work.run()
        if found is None:
            return work.code
        if output is not None:
            work.draw(found, queries, output, format_name, width=width, overwrite=overwrite)
        work.write_page(page, found, summary(found, networks))
        if per_channel is not None:
            (number,) = comparer.numbers_of([per_channel])
            print_channels(found, number, form_of(as_json=as_json))
        elif as_json:
            emit_record(work.facts() | found.record())
        else:
            print_layers(found, networks)
        _demand(found.outputs, min_sqnr, min_agreement)
        return work.code


def _check_names(network: Network, queries: Sequence[str], per_channel: str | None) -> None:
    """Refuse names that mean nothing before the long work."""
    layers = network.read_layers()
    for name in queries:
        layers.resolve(name)
    if per_channel is not None and (count := len(layers.resolve(per_channel))) > 1:
        raise UsageError(f"{per_channel!r} means {count} layers, and one is wanted")


def _compare_weights(
    names: Sequence[str],
    by_hand: Path | None,
    min_sqnr: float | None,
    settings: SessionSettings,
    *,
    as_json: bool,
) -> int:
    """Compare what two networks have learned."""
    if len(names) != 2:
        raise UsageError(f"--weights compares two networks, not {len(names)}")
    partners = _read_map(by_hand) if by_hand else {}
    from cnntool.api.weight_comparison import weight_comparison
    from cnntool.cli.network_options import read_model

    a, b = (read_model(name, settings.timeout) for name in names)
    with a, b:
        found = weight_comparison(a, b, partners)
    form = form_of(as_json=as_json)
    if form == "jsonl":
        sides = {"a": a, "b": b}
        files = {
            side: {"name": one.name, "file": str(one.found.file), "sha256": one.sha256}
            for side, one in sides.items()
        }
        emit_record(files | found.record())
    else:
        print_weights(found, form, (a, b))
    if min_sqnr is not None and not found.sqnr >= min_sqnr:
        raise FigureError(
            f"SQNR of the weights is {found.sqnr:.6g} dB, and {min_sqnr:g} dB were demanded"
        )
    return 0


def _compared(names: Sequence[str], model: str | None, *, settings: int) -> Compared:
    """Tell networks from photos.

    Raises
    ------
    UsageError
        Too few or too many of either.
    """
    from cnntool.nets.models.catalog import is_path

    if model is not None:
        if settings > 1:
            return Compared((model, model), _photos(names), beside=False)
        if len(names) != 2:
            raise UsageError(
                f"-m NET compares two pictures, not {len(names)}",
                hint="name two networks, or two settings such as --device cpu,cuda",
            )
        return Compared((model, model), _photos(names), beside=True)
    if not names:
        raise UsageError("no network was named", hint="cnntool diff A.onnx B.onnx [PHOTO]...")

    def is_network(name: str) -> bool:
        from cnntool.nets.models.catalog import SUFFIX
        from cnntool.nets.models.catalog import names as known

        return name.lower().endswith(SUFFIX) or (not is_path(name) and name in known())

    first, *rest = names
    second = first
    if rest and (settings == 1 or is_network(rest[0])):
        second, *rest = rest
    elif settings == 1:
        raise UsageError(
            "one network alone has nothing to be compared with",
            hint="name a second one, or two settings such as --device cpu,cuda",
        )
    for name in rest:
        if is_network(name):
            raise UsageError(f"two networks are compared, and {name} is another one")
    return Compared((first, second), _photos(rest), beside=False)


def _photos(names: Sequence[str]) -> Sequence[Path]:
    return inputs_or_sample([Path(name) for name in names])


def _read_map(path: Path) -> dict[str, str]:
    """Read which layers are partners.

    Raises
    ------
    UsageError
        The file cannot be read, or a line does not hold two names.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise UsageError(reason.lower(), source=str(path)) from None
    found: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        words = [word.strip() for word in line.split("\t")] if "\t" in line else line.split()
        if len(words) != 2 or not all(words):
            raise UsageError(
                f"line {number} does not hold two names with a tab or spaces between",
                source=str(path),
            )
        if words[0] in found:
            raise UsageError(f"line {number}: {words[0]!r} was named before", source=str(path))
        found[words[0]] = words[1]
    return found


def _read(
    what: Compared,
    devices: Sequence[str],
    overrides: Overrides,
    settings: SessionSettings,
    stack: ExitStack,
) -> tuple[Network, Network]:
    """Read the networks; one that is compared with itself is read once."""
    from cnntool.nets.network import Network

    found: list[Network] = []
    for name, device in zip(what.networks, (*devices, *devices), strict=False):
        network = Network(name, overrides, settings._replace(device=device), note=console.note)
        stack.enter_context(network)
        if found and name == what.networks[0]:
            network.found, network.graph = found[0].found, found[0].graph
        else:
            with hold_time(settings.timeout, name):
                network.read()
        found.append(network)
    return found[0], found[1]


class _Work:
    """Runs a comparison over the photos of a command line, and draws what it found."""

    def __init__(
        self, comparer: Comparer, what: Compared, reading: Reading, *, recursive: bool
    ) -> None:
        self._comparer = comparer
        self._what = what
        items = expand(what.photos, recursive=recursive, matrices=False)
        self._pictures = Pictures(items, comparer.prepare, reading)
        self._reading = reading
        self._first: Item | None = None

    @property
    def code(self) -> int:
        """The exit code that the photos deserve."""
        return self._pictures.code

    def run(self) -> Comparison | None:
        """Compare the networks; None where there was one photo, whose error was told."""
        beside = self._what.beside
        total = 1 if beside else length_hint(self._pictures)
        with console.Progress("comparing") as progress:
            try:
                return self._comparer.compare(
                    self._beside() if beside else self._each(),
                    lambda done: progress.reach(done, max(done, total)),
                )
            except InputError:
                if self.code > 1:
                    return None
                raise

    def _each(self) -> Iterator[tuple[str, Ready]]:
        for loaded in self._pictures:
            self._first = self._first or loaded.item
            yield loaded.item.name, loaded.made

    def _beside(self) -> Iterator[tuple[str, Ready]]:
        """Yield the two pictures as one: for either network another."""
        found = list(self._each())
        if len(found) == 2:
            (one, ours), (other, theirs) = found
            yield f"{one} | {other}", ours._replace(b=theirs.b)

    def facts(self) -> dict[str, Any]:
        """Return what records say of the networks."""
        return {
            side: {
                "name": network.found.spec.name if network.found.spec else network.name,
                "file": str(network.found.file),
                "sha256": network.sha256,
                "preprocessing": preparation(plan),
                "device": placement.granted if placement else None,
                "provider": placement.provider if placement else None,
            }
            for side, network, plan, placement in zip(
                "ab",
                self._comparer.networks,
                self._comparer.plans,
                self._comparer.placements,
                strict=True,
            )
        }

    def write_page(self, file: Output | None, found: Comparison, remarks: Iterable[str]) -> None:
        """Write the page about what was found, if it is wanted; the first photo is read again."""
        if file is None:
            return
        from cnntool.api.difference_page import difference_page
        from cnntool.nets.inference.preprocess import seen

        again = None
        if self._first is not None and self._first.path is not None:
            entry = self._comparer.plans[0].input
            pictures = Pictures([self._first], partial(seen, entry=entry), self._reading)
            again = next((loaded.made for loaded in pictures), None)
        with console.Progress("drawing") as progress:
            page = difference_page(
                self._comparer, found, photo=again, remarks=remarks, progress=progress.reach
            )
        file.write(page)
        file.commit()

    def draw(
        self,
        found: Comparison,
        queries: Sequence[str],
        output: Path,
        format_name: str | None,
        *,
        width: int | None,
        overwrite: bool,
    ) -> None:
        """Draw layers, by the first photo."""
        from cnntool.api.activations import safe
        from cnntool.cli.layer_files import is_file

        numbers = self._comparer.numbers_of(queries) if queries else [found.worst.number]
        one = is_file(str(output))
        suffix = figure_suffix(format_name or "png")
        if one and len(numbers) > 1:
            raise UsageError(f"{len(numbers)} layers need a folder to go to", source="--output")
        if not one:
            make_folder(output)
        for number in numbers:
            name = found.layers[number].name_a
            path = output if one else output / f"{number:02}-{safe(name)}{suffix}"
            figure = found.figure(number)
            figure.save(path, format=format_name, width=width, overwrite=overwrite)
            console.note(f"{name} is drawn in {path}")


def _demand(outputs: OutputDifference | None, sqnr: float | None, agreement: float | None) -> None:
    """Hold the answers to what is demanded of them.

    Raises
    ------
    FigureError
        They miss it.
    """
    if sqnr is not None:
        if outputs is None:
            raise FigureError("the answers cannot be compared, and an SQNR was demanded")
        if outputs.apart:
            raise FigureError(
                f"the answers have {counted(outputs.apart, 'value')} NaN or infinite on one side"
                f" only, and {sqnr:g} dB were demanded"
            )
        if not outputs.sqnr >= sqnr:
            raise FigureError(
                f"SQNR of the answers is {outputs.sqnr:.6g} dB, and {sqnr:g} dB were demanded"
            )
    if agreement is not None:
        if outputs is None or outputs.agreement is None:
            raise FigureError("there are no classes, and an agreement was demanded")
        if outputs.agreement < agreement:
            raise FigureError(
                f"both say the same of {outputs.agreement:.2%}, and {agreement:.2%} was demanded"
            )
