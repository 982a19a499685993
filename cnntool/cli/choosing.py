"""The option that chooses a network, the same in every command."""

from __future__ import annotations

import click

from cnntool.cli import config
from cnntool.nets.places import BUILT_IN

model = click.option(
    "-m",
    "--model",
    metavar="NAME|FILE",
    default=BUILT_IN,
    show_default=True,
    envvar="CNNTOOL_MODEL",
    show_envvar=True,
    callback=config.fill,
    help="The network: a name ('cnntool models' lists them) or an .onnx file.",
)
