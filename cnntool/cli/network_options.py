"""The options of commands that take a network: its name, preprocessing, device; and opening it."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from cnntool.cli import console, options, param_types
from cnntool.cli.batch_log import stamp
from cnntool.cli.options import gathered
from cnntool.errors import ModelError, UsageError
from cnntool.nets.inference.presets import RECIPES, Overrides
from cnntool.nets.models import BUILT_IN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cnntool.cli.batch_log import Stamp
    from cnntool.cli.options import F
    from cnntool.nets.inference.infer_spec import InferredSpec
    from cnntool.nets.network import Network
    from cnntool.nets.runtime.providers import SessionSettings


_NAMED = "cnntool.model"

_LONGEST = 1e8
"""Seconds that a timer of the system can count."""

READ_WITHIN = 2.0
"""Seconds after which a shell is told no layers."""

_AGAIN = 0.05
"""Seconds until the timer speaks again: a finaliser, say, swallows what it raises."""

model_option = options.setting(
    "-m",
    "--model",
    type=param_types.MODEL,
    metavar="NAME|FILE",
    default=BUILT_IN,
    show_default=True,
    help="The network: a name ('cnntool models' lists them) or an .onnx file.",
)


def model_argument(command: F) -> F:
    """Add the argument that names a network, and --model, as other commands call it."""
    command = click.option(
        "-m",
        "--model",
        "named",
        type=param_types.MODEL,
        metavar="NAME|FILE",
        expose_value=False,
        is_eager=True,
        callback=_remember,
        help="The same as MODEL.",
    )(command)
    return click.argument(
        "model",
        type=param_types.MODEL,
        metavar="[MODEL]",
        default=BUILT_IN,
        envvar="CNNTOOL_MODEL",
        callback=_settle,
    )(command)


def _remember(ctx: click.Context, param: click.Parameter, value: str | None) -> None:  # noqa: ARG001
    ctx.meta[_NAMED] = value


def _settle(ctx: click.Context, param: click.Parameter, value: str) -> Any:
    """Take what --model names, which the argument must not contradict."""
    named = ctx.meta[_NAMED]
    if named is None:
        return options.default(ctx, param, value)
    if ctx.get_parameter_source("model") is ParameterSource.COMMANDLINE and value != named:
        raise UsageError(f"MODEL {value!r} and --model {named!r} disagree", hint="name one network")
    return named


@contextmanager
def hold_time(seconds: float, name: str) -> Iterator[None]:
    """Let the reading of a network take so many seconds, where the system can see to that.

    It is interrupted by a signal, which only the main thread receives; elsewhere, and on Windows,
    what bounds it is the size of the file and the number of its fields.

    Parameters
    ----------
    seconds : float
        For all that the block does.
    name : str
        What errors call the network.

    Raises
    ------
    ModelError
        It takes longer.
    """
    import signal
    from threading import current_thread, main_thread

    if not hasattr(signal, "setitimer") or current_thread() is not main_thread():
        yield
        return

    def late(*_: Any) -> None:
        raise ModelError(
            f"it was not read within {seconds:g} s",
            source=name,
            hint="--timeout SECONDS allows more",
        )

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, min(seconds, _LONGEST), _AGAIN)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def read_model(name: str, timeout: float | None = None) -> Network:
    """Read a network and its layers; it is not run.

    Parameters
    ----------
    name : str
        A name or a file.
    timeout : float, optional
        Seconds that reading may take; by default those of a session.

    Raises
    ------
    ModelError
        There is no such network, or it cannot be read, or not in time.
    """
    from cnntool.nets.network import Network
    from cnntool.nets.runtime.providers import SessionSettings

    settings = SessionSettings() if timeout is None else SessionSettings(timeout=timeout)
    network = Network(name, Overrides(), settings, note=console.note)
    with hold_time(settings.timeout, name):
        network.read().read_layers()
    return network


def _model_of(ctx: click.Context) -> str:
    """Return the network that an unfinished command line means, of `diff` the first one.

    Arguments before an option that still lacks its value are in ``ctx.args``.
    """
    first = {param.name for param in ctx.command.params[:1] if isinstance(param, click.Argument)}
    named = ctx.meta.get(_NAMED)
    if not named and ctx.args and first & {"model", "names"}:
        named = ctx.params["model"] if "names" in first else None
        named = named or ctx.args[0]
    if not named and ctx.get_parameter_source("model") is not ParameterSource.DEFAULT:
        named = ctx.params["model"]
    return str(named or options.defaults().get("model", BUILT_IN))


def _layer_names(ctx: click.Context, incomplete: str) -> list[str]:
    """Return the names of layers; those by their place, ``conv:9``, once one is begun."""
    rows = read_model(_model_of(ctx), READ_WITHIN).read_layers().rows
    return [row.short_name for row in rows] + [row.counted for row in rows if incomplete]


LAYER = param_types.Name(_layer_names)
"""A layer of the network that the command line names."""


def layer_option(*name: str, **attributes: Any) -> Callable[[F], F]:
    """Make --layer."""
    return click.option("-l", "--layer", *name, type=LAYER, metavar="NAME", **attributes)


@contextmanager
def opened(
    name: str, overrides: Overrides, settings: SessionSettings, kinds: frozenset[str] = frozenset()
) -> Iterator[tuple[Network, InferredSpec]]:
    """Read a network whose process starts meanwhile.

    Yields
    ------
    (Network, InferredSpec)
        The network, and what goes in and comes out where outputs of these kinds are wanted.

    Raises
    ------
    ModelError
        There is no such network, it cannot be read, or not in time; or it has no such output.
    """
    from cnntool.nets.network import Network

    key = Path.cwd(), name, repr(overrides), settings
    with ExitStack() as stack:
        kept = _take(key)
        network = kept or Network(name, overrides, settings, ahead=True, note=console.note)
        stack.enter_context(network)
        with hold_time(settings.timeout, name):
            plan = (kept or network.read()).plan(kinds)
        try:
            yield network, plan
        finally:
            if console.TALK.verbose and network.chatter:
                console.detail(network.chatter)
        if _kept is not None:
            stack.pop_all()
            _kept[key] = network, stamp(network.found.file)


_kept: dict[Any, tuple[Network, Stamp | None]] | None = None


def keep_open() -> None:
    """Have the network that was used last stay open until another one is wanted."""
    global _kept  # noqa: PLW0603 - for the whole process
    _kept = {}


def _take(key: Any) -> Network | None:
    """Return the network that has stayed open if it is the wanted one, and close it if not."""
    while _kept:
        known, (network, read) = _kept.popitem()
        if known == key and stamp(network.found.file) == read:
            return network
        network.close()
    return None


def begin(model: Network, plan: InferredSpec) -> None:
    """Say what the network may take and what had to be assumed."""
    limit = model.settings.max_memory
    memory = "any memory" if limit is None else f"{limit >> 20} MiB of memory"
    console.detail(
        f"{model.name} may take {memory} (--max-memory)"
        f" and {model.settings.timeout:g} s (--timeout)"
    )
    if plan.assumed:
        console.note(f"{model.name}: assumed {', '.join(plan.assumed)}")


def say_where(model: Network) -> None:
    """Say where the network runs, once."""
    placement = model.placement
    if placement.note:
        console.note(placement.note)
    console.detail(f"{model.name} runs on {placement.granted} ({placement.provider})")


def preparation(plan: InferredSpec) -> dict[str, Any]:
    """Return what records say of how pictures are prepared."""
    return {
        key: list(value) if isinstance(value, tuple) else value
        for key, value in plan.input._asdict().items()
        if key not in {"name", "minimum", "batch"}
    }


def facts_of(model: Network, plan: InferredSpec) -> dict[str, Any]:
    """Return what records say of a network and of what was done to the pictures."""
    placement = model.placement
    return {
        "model": {
            "name": model.found.spec.name if model.found.spec else model.name,
            "file": str(model.found.file),
            "sha256": model.sha256,
        },
        "preprocessing": preparation(plan),
        "assumed": [console.as_options(text) for text in plan.assumed],
        "device": placement.granted,
        "provider": placement.provider,
    }


_PREPROCESSING = (
    click.option("--crop", type=param_types.CROP, help="Cut this size from the centre."),
    click.option(
        "--resize",
        type=click.IntRange(1, 16384),
        help="Resize the shorter side to this first.",
    ),
    click.option(
        "--channel-order",
        type=click.Choice(["rgb", "bgr"], case_sensitive=False),
        help="Order of the colours; mean and deviation go with their colours.",
    ),
    click.option(
        "--std", "deviation", type=param_types.DEVIATIONS, help="Divide by this (for each channel)."
    ),
    click.option("--mean", type=param_types.NUMBERS, help="Subtract this (for each channel)."),
    click.option(
        "--preprocess",
        type=click.Choice(list(RECIPES)),
        help="How colours become numbers: 0..1 less ImageNet's mean (imagenet, torch), BGR"
        " 0..255 less the mean (caffe), -1..1 (tf), 0..1 (unit), 0..255 (raw).",
    ),
)

labels = click.option(
    "--labels",
    type=param_types.FILE,
    help="Names of the classes: a line each, or TSV, or JSON.",
)

output_name = click.option(
    "--output-name",
    metavar="NAME",
    help="Which output answers, of a network that has several.",
)

white = click.option(
    "--white",
    type=click.FloatRange(min=0, min_open=True),
    metavar="VALUE",
    help="What white is in the picture that the network makes: 1, 255...  [default: as its last"
    " operators bound it, else as white goes in]",
)


def preprocessing(*more: Callable[[Any], Any]) -> Callable[[F], F]:
    """Add --preprocess and its single overrides, and options of more; together: ``overrides``."""
    return gathered("overrides", _overrides, *_PREPROCESSING, *reversed(more))


def _overrides(
    *, channel_order: str | None, output_name: str | None = None, **values: Any
) -> Overrides:
    order = channel_order.upper() if channel_order else None
    return Overrides(channel_order=order, output=output_name, **values)


def timeout_option(command: F) -> F:
    """Add --timeout."""
    from cnntool.nets.runtime.providers import TIMEOUT

    return options.setting(
        "--timeout",
        type=param_types.SECONDS,
        metavar="SECONDS",
        default=TIMEOUT,
        show_default=True,
        help="Time that a network may take to open, and then for each picture.",
    )(command)


def running(command: F) -> F:
    """Add --device, --threads, --timeout and --max-memory; together: ``settings``."""
    from cnntool.nets.runtime.providers import AUTO, DEVICES

    device = options.setting(
        "--device",
        type=param_types.DEVICE,
        default=AUTO,
        show_default=True,
        help=f"Where the network runs: {DEVICES}. 'cnntool devices' says what works here.",
    )
    return limits(device)(command)


def limits(*more: Callable[[Any], Any]) -> Callable[[F], F]:
    """Add --threads, --timeout and --max-memory, and options of more; together: ``settings``."""
    return gathered(
        "settings",
        _settings,
        options.setting(
            "--max-memory",
            type=param_types.MEMORY,
            help="Memory that the network may take, such as 4G, where the system sees to that"
            " (Linux).  [default: what is available]",
        ),
        timeout_option,
        options.setting(
            "--threads",
            type=click.IntRange(min=1, max=1024),
            help="Threads to compute on.  [default: usable CPUs]",
        ),
        *more,
    )


def _settings(*, max_memory: int | None, **values: Any) -> SessionSettings:
    from cnntool.nets.runtime.providers import SessionSettings
    from cnntool.system import keeps_memory

    settings = SessionSettings(**values)
    if max_memory is None:
        return settings
    if not keeps_memory():
        console.note("--max-memory has no effect: this system does not limit a process's memory")
    return settings._replace(max_memory=max_memory)
