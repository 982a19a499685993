"""A network as a command line names it, opened while the pictures are being read."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

from cnntool.cli import console
from cnntool.system import usable_cpus

if TYPE_CHECKING:
    from cnntool.nets.assume import Plan
    from cnntool.nets.catalog import Found
    from cnntool.nets.graph import Graph
    from cnntool.nets.layers import Layers
    from cnntool.nets.providers import Placement
    from cnntool.nets.recipes import Overrides
    from cnntool.nets.session import Session, Settings


MOST_LANES = 4
"""Pictures that are in a network at once: each takes memory for all maps of its largest layers."""


class Network:
    """A network, opened in a process of its own while the first picture is being decoded.

    The process is started first of all, and ended with the context.

    Parameters
    ----------
    model : str
        A name or a file.
    wishes : Overrides
        What the user says of it.
    settings : Settings
        Where and how to run it.
    many : bool
        Whether there may be many pictures: each then gets a core, where a single one gets all.
    suits : frozenset of str
        The kinds of outputs that the command has a use for; empty if it has one for all.

    Attributes
    ----------
    found : Found
        The file, and the manifest if there is one.
    graph : Graph
        What is in the file.
    plan : Plan
        What goes in and comes out.
    taps : tuple of str
        The tensors to ask for: the plan's, unless they are replaced before `open`.
    settings : Settings
        May be replaced before `open`, too.
    session : Session
        Where it runs; there from `open` on.
    """

    session: Session

    def __init__(
        self,
        model: str,
        wishes: Overrides,
        settings: Settings,
        *,
        many: bool = False,
        suits: frozenset[str] = frozenset(),
    ) -> None:
        from cnntool.nets.session import start

        self._child = start()
        try:
            from cnntool.nets.assume import plan_for
            from cnntool.nets.catalog import find
            from cnntool.nets.graph import read_graph
            from cnntool.nets.limits import hold_time

            self.found: Found = find(model)
            with hold_time(settings.timeout, model):
                self.graph: Graph = read_graph(self.found.file, name=model)
                self.plan: Plan = plan_for(model, self.graph, self.found.spec, wishes, suits=suits)
        except BaseException:
            self._child.close()
            raise
        self.taps: tuple[str, ...] = self.plan.taps
        self.settings = settings
        if many:
            lanes = min(settings.threads or usable_cpus(), MOST_LANES)
            self.settings = settings._replace(lanes=lanes)

    def layers(self) -> Layers:
        """Read its layers."""
        from cnntool.nets.layers import Layers
        from cnntool.nets.limits import hold_time

        with hold_time(self.settings.timeout, self.plan.name):
            return Layers(self.graph, self.found.spec)

    def open(self) -> None:
        """Have the network opened; what had to be assumed is said."""
        from cnntool.nets.session import Session
        from cnntool.nets.skeleton import skeleton

        limit = self.settings.max_memory
        memory = "any memory" if limit is None else f"{limit >> 20} MiB of memory"
        console.detail(
            f"{self.plan.name} may take {memory} (--max-memory)"
            f" and {self.settings.timeout:g} s (--timeout)"
        )
        part = skeleton(self.graph, self.taps)
        self.session = Session(part, self.settings, name=self.plan.name, child=self._child)
        if self.plan.assumed:
            console.note(f"{self.plan.name}: assumed {', '.join(self.plan.assumed)}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        chatter = "".join(self._child.chatter()) if console.TALK.verbose else ""
        if chatter:
            console.detail(chatter)
        self._child.close()

    @cached_property
    def placement(self) -> Placement:
        """Where it runs; what is to be said of that is said."""
        placement = self.session.placement
        if placement.note:
            console.note(placement.note)
        console.detail(f"{self.plan.name} runs on {placement.granted} ({placement.provider})")
        return placement

    @cached_property
    def sha256(self) -> str:
        """Of the file, as it is."""
        import hashlib

        with self.found.file.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    @cached_property
    def facts(self) -> dict[str, Any]:
        """What records say of the network and of what was done to the pictures."""
        entry = self.plan.input
        return {
            "model": {
                "name": self.found.spec.name if self.found.spec else self.plan.name,
                "file": str(self.found.file),
                "sha256": self.sha256,
            },
            "preprocessing": {
                key: list(value) if isinstance(value, tuple) else value
                for key, value in entry._asdict().items()
                if key not in {"name", "minimum", "batch"}
            },
            "assumed": list(self.plan.assumed),
            "device": self.placement.granted,
            "provider": self.placement.provider,
        }
