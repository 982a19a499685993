"""The worker: the child process that holds onnxruntime's sessions and answers over its pipes.

onnxruntime blocks the thread that builds or runs a network, crashes on some networks, prints on
stdout and takes what memory it likes. In a process of its own it may be killed, counted and
overheard. Everything that is imported here is waited for, so it is little.
"""

from __future__ import annotations

import _thread
import gc
import os
from io import FileIO
from itertools import count
from queue import SimpleQueue
from time import perf_counter
from typing import TYPE_CHECKING, Any, NoReturn

from cnntool.nets.runtime.protocol import END_OF_ATTEMPT, END_OF_CHATTER, Message, receive, send
from cnntool.nets.runtime.shared_file import Stored, mapped, store

if TYPE_CHECKING:
    from collections.abc import Callable

    Providers = list[tuple[str, dict[str, str]]]

_LONGEST_REASON = 20_000
_NVIDIA = ("CUDAExecutionProvider", "TensorrtExecutionProvider")
CPU = "CPUExecutionProvider"
_DIRECTML = "DmlExecutionProvider"
_SILENT = 3  # errors only
GRAPH, WEIGHTS = "optimised.onnx", "weights"
"""In the folder of a profile: the graph that onnxruntime made of the network, and its weights."""


def main() -> NoReturn:
    """Serve the parent until it closes the pipe."""
    gc.disable()  # nothing that starting up creates is garbage
    requests, replies = FileIO(os.dup(0)), FileIO(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)  # whatever prints on stdout is chatter
    take = _receive_ahead(requests)
    try:
        onnxruntime, error = _import()
        request = take()
        if error is not None:
            _fail(replies, "missing" if error.name == "onnxruntime" else "broken", error)
        if request.facts["max_memory"]:
            from cnntool.system import hold_memory

            hold_memory(request.facts["max_memory"])
        session, opened = _open(onnxruntime, request, replies)
        send(replies, opened)
        gc.freeze()
        gc.enable()
        sessions, lanes = Sessions(onnxruntime, session), request.facts["lanes"]
        del session, request  # it may be let go of
        _serve(sessions, take, replies, lanes)
    except BrokenPipeError:
        os._exit(0)  # the parent is gone
    except BaseException as error:  # noqa: BLE001 - the parent reads it from stderr
        _give_up(error)


def _receive_ahead(stream: FileIO) -> Callable[[], Message]:
    """Read messages on a thread, so that the next picture is here when one is done.

    There are no more of them than the parent has under way. The thread also ends the process when
    the parent is gone, in the middle of a run if need be.
    """
    inbox: SimpleQueue[Message] = SimpleQueue()

    def read() -> None:
        try:
            while True:
                inbox.put(receive(stream))
        except EOFError:
            os._exit(0)
        except BaseException as error:  # noqa: BLE001 - nobody else would hear of it
            _give_up(error)

    _thread.start_new_thread(read, ())
    return inbox.get


def _give_up(error: BaseException) -> NoReturn:
    os.write(2, f"\n{type(error).__name__}: {error}\n".encode(errors="replace"))
    os._exit(1)


def _import() -> tuple[Any, ImportError | None]:
    """Import onnxruntime, before it is known what for; why not is told to who asks."""
    try:
        import onnxruntime
    except ImportError as error:
        return None, error
    return onnxruntime, None


def _open(onnxruntime: Any, request: Message, replies: FileIO) -> tuple[Any, Message]:
    """Open the network by the first attempt that gives what it promises; return what to tell."""
    facts = request.facts
    model = request.parts[0] if request.parts else facts["path"]
    available = onnxruntime.get_available_providers()
    refused: list[tuple[str, str]] = []

    def build(providers: Providers) -> Any:
        return _session(onnxruntime, model, facts, providers)

    try:
        session, device = _place(build, facts["attempts"], available, refused)
        placed = {
            "version": onnxruntime.__version__,
            "available": available,
            "device": device,
            "refused": refused,
        }
        if session is not None:
            placed |= _describe(session)
    except Exception as error:  # noqa: BLE001 - whatever is wrong with the network
        _fail(replies, "model", error)
    os.write(2, END_OF_CHATTER)
    return session, Message("refused" if session is None else "opened", placed)


def _place(
    build: Callable[[Providers], Any],
    attempts: list[tuple[str, Providers]],
    available: list[str],
    refused: list[tuple[str, str]],
) -> tuple[Any, str]:
    """Return the first session that runs where it was meant to, and its device.

    What an attempt fails with goes to ``refused``, an empty text where onnxruntime only fell back
    to the CPU. A network that the CPU cannot open either raises.
    """
    session: Any = None
    at_fault = False
    for device, providers in attempts:
        wanted = providers[0][0]
        if wanted not in available:
            continue
        reason = ""
        if session is None or wanted != CPU:  # an earlier attempt may have fallen to the CPU
            try:
                session = build(providers)
            except Exception as error:
                if wanted == CPU:
                    raise
                reason, at_fault = _text(error), True
        if not reason and session.get_providers()[0] == wanted:
            return session, device
        refused.append((device, reason))
        os.write(2, END_OF_ATTEMPT)
    if at_fault:
        build([(CPU, {})])
    return None, ""


def _fail(replies: FileIO, kind: str, error: BaseException) -> NoReturn:
    send(replies, Message(kind, {"reason": _text(error)}))
    os._exit(0)


def _text(error: BaseException) -> str:
    kind = type(error).__name__
    return kind if isinstance(error, MemoryError) else (str(error) or kind)[:_LONGEST_REASON]


def _session(onnxruntime: Any, model: Any, facts: dict[str, Any], providers: Providers) -> Any:
    """Build one onnxruntime session."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = max(1, facts["threads"] // facts["lanes"])
    options.inter_op_num_threads = 1
    options.log_severity_level = _SILENT
    # Threads that wait by spinning take the processors from whoever prepares the next picture.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if facts["optimise"] is not True:
        levels = onnxruntime.GraphOptimizationLevel
        basic = facts["optimise"] == "basic"
        options.graph_optimization_level = (
            levels.ORT_ENABLE_BASIC if basic else levels.ORT_DISABLE_ALL
        )
    if facts["folder"]:
        options.add_session_config_entry(
            "session.model_external_initializers_file_folder_path", facts["folder"]
        )
    names = {name for name, _ in providers}
    if names.intersection(_NVIDIA) and hasattr(onnxruntime, "preload_dlls"):
        onnxruntime.preload_dlls()
    if _DIRECTML in names:
        options.enable_mem_pattern = False  # as its documentation demands
    pairs = [(name, choices) for name, choices in providers]  # a message makes lists of tuples

    def build() -> Any:
        return onnxruntime.InferenceSession(model, options, providers=pairs, enable_fallback=0)

    return _profiling(build, options, facts["profile"]) if facts["profile"] else build()


def _profiling(build: Callable[[], Any], options: Any, folder: str) -> Any:
    """Build a session that notes what it runs, and writes the graph that it made of the network.

    The graph's weights, half a gigabyte perhaps, go where nothing is kept, if there is a link to
    such a place. Providers that compile what they run cannot write it.
    """
    options.enable_profiling = True
    options.profile_file_prefix = f"{folder}/trace"
    if os.path.lexists(f"{folder}/{WEIGHTS}"):
        setting = "session.optimized_model_external_initializers_"
        options.add_session_config_entry(f"{setting}file_name", WEIGHTS)
        options.add_session_config_entry(f"{setting}min_size_in_bytes", "0")
        options.optimized_model_filepath = f"{folder}/{GRAPH}"
        try:
            return build()
        except Exception:  # noqa: BLE001 - if the network is at fault, it fails once more
            options.optimized_model_filepath = ""
    return build()


def _describe(session: Any) -> dict[str, Any]:
    tensors = {"inputs": session.get_inputs(), "outputs": session.get_outputs()}
    return {
        "provider": session.get_providers()[0],
        **{key: [(i.name, i.type, i.shape) for i in items] for key, items in tensors.items()},
    }


class Sessions:
    """Networks side by side in one process, and results that one of them makes for another.

    Parameters
    ----------
    onnxruntime : module
        To open more of them.
    first : InferenceSession
        The one that the process was started for: number 0. Others are counted as they come.
    """

    def __init__(self, onnxruntime: Any, first: Any) -> None:
        self._onnxruntime = onnxruntime
        self.open: list[Any] = [first]
        self._kept: dict[str, Any] = {}

    def answer(self, request: Message, replies: FileIO) -> Message | None:
        """Do what is asked; None where that needs no answer."""
        if request.kind == "open":
            session, opened = _open(self._onnxruntime, request, replies)
            self.open.append(session)  # before anybody knows of it and asks for it
            return opened
        if request.kind == "close":
            self.open[request.facts["session"]] = None
            return None
        if request.kind == "profile":
            file = self.open[request.facts["session"]].end_profiling()
            return Message("profiled", {"file": file})
        try:
            return self._run(request)
        except OSError as error:
            return Message("unshared", {"number": error.errno, "reason": error.strerror})

    def _run(self, request: Message) -> Message:
        """Run a network once."""
        facts = request.facts
        session = self.open[facts["session"]]
        feeds = dict(zip(facts["feeds"], request.parts, strict=True))
        feeds |= {name: self._kept[kept] for name, kept in facts["kept"].items()}
        if facts["stored"]:
            places = [Stored(*place) for place in facts["stored"].values()]
            with FileIO(facts["source"]) as file:
                feeds |= zip(facts["stored"], mapped(file, places), strict=True)
        outputs = facts["outputs"] + facts["keep"]
        try:
            start = perf_counter()
            results = session.run(outputs, feeds)
            seconds = perf_counter() - start
        except Exception as error:  # noqa: BLE001 - the network is at fault
            return Message("failed", {"reason": _text(error)})
        for result, name in zip(results, outputs, strict=True):
            if not hasattr(result, "dtype") or result.dtype.hasobject:
                return Message("failed", {"reason": f"output {name!r} is no array of numbers"})
        told = len(facts["outputs"])
        self._kept = dict(zip(facts["keep"], results[told:], strict=True)) or self._kept
        if facts["target"]:
            with FileIO(facts["target"], "r+") as file:
                places = store(file, facts["offset"], results[:told])
            return Message("done", {"seconds": seconds, "stored": places})
        return Message("done", {"seconds": seconds}, results[:told])


def _serve(
    sessions: Sessions, take: Callable[[], Message], replies: FileIO, lanes: int
) -> NoReturn:
    """Answer requests in their order, however long each takes; work on one in every lane.

    On processors a picture to each core takes less time than all cores to each picture: nobody
    waits for anybody. A graphics card does one thing at a time anyway.
    """
    taking, telling = _thread.allocate_lock(), _thread.allocate_lock()
    taken, told = count(), 0
    done: dict[int, Message | None] = {}

    def lane() -> NoReturn:
        nonlocal told
        while True:
            with taking:
                request, number = take(), next(taken)
            answer = sessions.answer(request, replies)
            del request
            with telling:
                done[number] = answer
                del answer
                while told in done:
                    if ready := done.pop(told):
                        send(replies, ready)
                    del ready
                    told += 1

    def guarded() -> None:
        try:
            lane()
        except BrokenPipeError:
            os._exit(0)
        except BaseException as error:  # noqa: BLE001 - nobody else would hear of it
            _give_up(error)

    for _ in range(lanes - 1 if sessions.open[0].get_providers()[0] == CPU else 0):
        _thread.start_new_thread(guarded, ())
    lane()
