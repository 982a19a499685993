"""Sessions for parts of one network, each in a process of its own; a few stay open."""

from __future__ import annotations

import os
from threading import RLock
from typing import TYPE_CHECKING

from cnntool.errors import UsageError
from cnntool.nets.session import Session, start

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cnntool.nets.graph import Graph
    from cnntool.nets.process import Child
    from cnntool.nets.session import Settings

MOST = 3
"""Parts of a network that stay open: what classifies, and some layers."""


class SessionPool:
    """Opens parts of a network and keeps those that were used last.

    Parameters
    ----------
    name : str
        What errors call the network.
    ahead : bool
        Whether to start the first process at once, before it is known what for.

    Attributes
    ----------
    lock : RLock
        To be held from asking for a session until its results were collected.
    last : Session or None
        The one that was asked for last.
    """

    def __init__(self, name: str, *, ahead: bool) -> None:
        self.lock = RLock()
        self.last: Session | None = None
        self._name = name
        self._owner = os.getpid()
        self._closed = False
        self._sessions: dict[object, Session] = {}
        self._spare: Child | None = start() if ahead else None

    def session(self, graph: Graph, tensors: Sequence[str], settings: Settings) -> Session:
        """Open the part of the network that makes some tensors, or find it open.

        It is opened in its process while the caller goes on.

        Raises
        ------
        UsageError
            The pool is closed.
        """
        key = tuple(tensors), settings
        with self.lock:
            if self._closed:
                raise UsageError("the model is closed", source=self._name)
            session = self._sessions.pop(key, None)
            if session is not None and not session.idle:  # it broke, or an exception left it busy
                session.close()
                session = None
            if session is None:
                from cnntool.nets.skeleton import skeleton

                part = skeleton(graph, tensors)
                while len(self._sessions) >= MOST:
                    self._sessions.pop(next(iter(self._sessions))).close()
                session = Session(part, settings, name=self._name, child=self._spare)
                self._spare = None
            self._sessions[key] = self.last = session
            return session

    @property
    def chatter(self) -> str:
        """What onnxruntime and its providers have printed."""
        return "".join(session.chatter for session in self._sessions.values())

    def close(self, *, wait: bool = True) -> None:
        """End all processes, unless this one is a fork of the one that started them.

        Parameters
        ----------
        wait : bool
            Whether to wait until nothing is left of them.
        """
        self._closed = True
        if os.getpid() != self._owner:
            return
        while self._sessions:
            self._sessions.popitem()[1].close(wait=wait)
        if self._spare is not None:
            self._spare.close(wait=wait)
            self._spare = None
