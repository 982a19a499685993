"""Pictures for a network: what its verbs are told of both, and how they open them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from cnntool.cli.batch_log import Logging
from cnntool.cli.inputs import Pictures, is_several
from cnntool.cli.network_options import hold_time, opened
from cnntool.cli.options import gathered
from cnntool.image.files import expand

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from cnntool.cli.batch_log import BatchLog, Fits
    from cnntool.cli.inputs import Prepare, Reading
    from cnntool.image.files import Expanded, Item
    from cnntool.nets.inference.infer_spec import InferredSpec
    from cnntool.nets.inference.presets import Overrides
    from cnntool.nets.network import Network
    from cnntool.nets.runtime.providers import SessionSettings


class NetworkJob(NamedTuple):
    """What is read, by which network, and where results and a log of them go.

    The fields are what the options of these names say.
    """

    model: str
    overrides: Overrides
    settings: SessionSettings
    reading: Reading
    logging: Logging = Logging()
    inputs: Sequence[Path] = ()
    recursive: bool = False
    output: str | None = None
    overwrite: bool = False
    as_json: bool = False

    @property
    def several(self) -> bool:
        """Whether there may be more than one picture."""
        return is_several(self.inputs)

    def opened(
        self, kinds: frozenset[str] = frozenset()
    ) -> AbstractContextManager[tuple[Network, InferredSpec]]:
        """Read the network, see `cnntool.cli.network_options.opened`."""
        return opened(self.model, self.overrides, self.settings, kinds)

    def hold_time(self) -> AbstractContextManager[None]:
        """Let what is read of the network take no longer than it may."""
        return hold_time(self.settings.timeout, self.model)

    def logged(
        self, network: Network, fits: Fits | None = None
    ) -> AbstractContextManager[BatchLog | None]:
        """Open the log, see `cnntool.cli.batch_log.Logging.opened`."""
        return self.logging.opened(
            self.inputs, self.output, overwrite=self.overwrite, network=network, fits=fits
        )

    def pictures(
        self,
        prepare: Prepare,
        log: BatchLog | None,
        again: Callable[[Item, dict[str, Any]], None],
        items: Callable[..., Expanded] = expand,
    ) -> Pictures:
        """Return the pictures that the inputs stand for; ``items`` finds them."""
        found = items(self.inputs, recursive=self.recursive, matrices=False)
        return Pictures(found, prepare, self.reading, log, again)


network_job = gathered("job", NetworkJob)
"""Hand what other options say to the command together, as ``job``; the last of the decorators."""
