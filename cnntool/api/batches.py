"""Batches: many pictures, opened in their order, worked on side by side, handed back in order.

The pixels of all that are under way add up to what one picture may have, so that memory stays
bounded however many there are, and however large.
"""

from __future__ import annotations

import os
import time
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from cnntool.errors import ArgumentTypeError, CnntoolError
from cnntool.image.files import expand, is_folder, open_reader
from cnntool.processes import DiedError
from cnntool.system import usable_cpus
from cnntool.threads import ordered_map

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from numpy.typing import NDArray

    from cnntool.api.pictures import ImageLike, Picture
    from cnntool.image.codecs.codec import Reader
    from cnntool.processes import Copies, Outcome

    Work = Callable[["Opened", Any, int], Any]

O = TypeVar("O", bound="Opened")  # noqa: E741 - what was opened

MANY = 16
"""Pictures from which it pays to copy this process."""

_TURN, _MOST = 0.05, 8
"""Seconds of work that a copy is given at once, and pictures at most: to hand over takes time."""


class Opened:
    """A picture whose header was read, or the error with which that failed.

    Sent to another process it is opened anew there.

    Parameters
    ----------
    source : path or binary stream
        None if it is not to be opened.
    name : str
        How errors call it.
    ahead : bool
        Whether its decoding begins at once, on a thread of its own.
    **limits
        See `cnntool.image.files.open_reader`.

    Attributes
    ----------
    error : CnntoolError, MemoryError or None
        What is wrong with it, or with what was to be made of it.
    notes : tuple of str
        What is worth telling; of damage not before it has been read.
    pixels : int
        How many it has.
    """

    def __init__(self, source: Any, name: str, *, ahead: bool = False, **limits: Any) -> None:
        self.name = name
        self.error: CnntoolError | MemoryError | None = None
        self.notes: tuple[str, ...] = ()
        self.pixels = 0
        self._source, self._limits = source, limits
        self._reader: Reader | None = None
        if source is None:
            return
        try:
            reader = open_reader(source, name=name, **limits)
        except CnntoolError as error:
            self.error = error
            return
        self.notes = reader.info.notes
        self.pixels = reader.info.height * reader.info.width
        if ahead:
            reader.begin()
        self._reader = reader

    def __reduce__(self) -> tuple[Any, ...]:
        return _opened, (self._source, self.name, self._limits)

    @property
    def is_ready(self) -> bool:
        """Whether it can be worked on."""
        return self._reader is not None and self.error is None

    @property
    def is_file(self) -> bool:
        """Whether it may be opened more than once, as streams may not."""
        return isinstance(self._source, (str, os.PathLike))

    def reader(self) -> Reader:
        """Return the reader; raise what kept it from being opened."""
        if self._reader is None:
            assert self.error is not None  # noqa: S101
            raise self.error
        return self._reader

    def whole(self) -> Picture:
        """Read it to its end, and close it."""
        from cnntool.api.pictures import Picture

        with self.reader() as reader:
            values, info = reader.read(), reader.info  # damage is known by now
        self.notes = info.notes
        return Picture(self.name, info, values)

    def close(self) -> None:
        """Stop decoding."""
        if self._reader is not None:
            self._reader.close()


def _opened(source: Any, name: str, limits: dict[str, Any]) -> Opened:
    return Opened(source, name, **limits)


def side_by_side(
    begun: Iterable[tuple[O, Any]],
    work: Work,
    *,
    jobs: int,
    threads: int,
    most: int,
    copies: Copies | None = None,
    in_turn: Callable[[O, Any], bool] = lambda *_: False,
) -> Iterator[tuple[O, Any, Any]]:
    """Work on pictures, and hand them back in their order.

    Parameters
    ----------
    begun : iterable of (Opened, job)
        Pictures, each with what is to be done with it. The calling thread goes through it, a few
        pictures in front.
    work : callable
        Given a picture, its job and the number of threads that it may use, makes its result. It is
        not asked for pictures that have an error already, and gives them the one it raises.
    jobs : int
        How many are worked on at once: on threads of their own, or in `copies` of this process.
    threads : int
        To compute on; all pictures together.
    most : int
        Pixels that all of them may have together, unless there is but one.
    copies : Copies, optional
        Of this process, for the same work: they do it on files, `jobs` threads wait for them.
    in_turn : callable
        Given a picture and its job: whether the calling thread does it when its turn has come.

    Yields
    ------
    (Opened, job, result)
        The result is None where the picture has an error.
    """
    workers = _Workers(work, in_turn, jobs=jobs, threads=threads, most=most, copies=copies)
    groups = ordered_map(
        workers.work_on,
        workers.groups(begun),
        jobs,
        size=lambda group: max(opened.pixels for opened, _ in group),
        most=most,
    )
    for group in groups:
        for opened, job, call in group:
            yield opened, job, _attempt(opened, call)


class _Workers(Generic[O]):
    """Who works on pictures: threads, or copies of this process; see `side_by_side`."""

    def __init__(
        self,
        work: Work,
        in_turn: Callable[[O, Any], bool],
        *,
        jobs: int,
        threads: int,
        most: int,
        copies: Copies | None,
    ) -> None:
        self._work, self._in_turn, self._copies = work, in_turn, copies
        self._jobs, self._threads, self._most = jobs, threads, most
        self._several = 1

    def groups(self, begun: Iterable[tuple[O, Any]]) -> Iterator[list[tuple[O, Any]]]:
        """Take as many pictures at once as a copy is given."""
        tasks = iter(begun)
        while group := list(islice(tasks, self._several)):
            for task in group:
                if self._is_sent(*task):
                    task[0].close()
            yield group

    def work_on(self, group: list[tuple[O, Any]]) -> list[tuple[O, Any, Callable[[], Any]]]:
        """Work on pictures; return what gives the result of each when its turn has come."""
        sent = [self._given(*task) for task in group if self._is_sent(*task)]
        outcomes: Iterator[Outcome] = iter(())
        if self._copies and sent:
            since = time.perf_counter()
            outcomes = iter(self._copies(sent))
            pace = (time.perf_counter() - since) / len(sent)
            self._several = min(_MOST, max(1, int(_TURN / pace)))
        return [
            (
                *task,
                partial(_outcome, *next(outcomes)) if self._is_sent(*task) else self._done(*task),
            )
            for task in group
        ]

    def _is_sent(self, opened: O, job: Any) -> bool:
        apart = self._copies is not None and opened.is_file
        return apart and opened.is_ready and not self._in_turn(opened, job)

    def _given(self, opened: O, job: Any) -> tuple[O, Any, int]:
        beside = min(self._jobs, max(1, self._most // max(1, opened.pixels)))
        return opened, job, max(1, self._threads // beside)

    def _done(self, opened: O, job: Any) -> Callable[[], Any]:
        call = partial(self._work, *self._given(opened, job))
        if opened.is_ready and self._in_turn(opened, job):
            return call
        result = _attempt(opened, call)
        return lambda: result


def _attempt(opened: Opened, call: Callable[[], Any]) -> Any:
    """Return the result of a picture, unless it has an error or gets one."""
    try:
        return call() if opened.is_ready else None
    except (CnntoolError, MemoryError) as error:
        opened.error = error
    except DiedError as death:
        reason = f"the process that worked on it has died ({death})"
        hint = "where memory runs out the system kills: `jobs=1` takes the least"
        opened.error = CnntoolError(reason, source=opened.name, hint=hint)
    finally:
        opened.close()
    return None


def _outcome(result: Any, error: BaseException | None) -> Any:
    if error is not None:
        raise error
    return result


class PictureResult(NamedTuple):
    """What became of one of several pictures.

    Attributes
    ----------
    name : str
        Its file, or what errors call it.
    result : object
        What the function returned; None if there is an error.
    error : CnntoolError, MemoryError or None
        Why there is no result.
    notes : tuple of str
        What is worth knowing: damage, or pages that are left out.
    """

    name: str
    result: Any = None
    error: CnntoolError | MemoryError | None = None
    notes: tuple[str, ...] = ()


class _Held(Opened):
    """A picture that is decoded already."""

    def __init__(self, picture: Picture) -> None:
        super().__init__(None, picture.name)
        self._picture = picture
        self.pixels = picture.info.height * picture.info.width

    @property
    def is_ready(self) -> bool:
        return True

    def whole(self) -> Picture:
        return self._picture


def map_pictures(
    function: Callable[[NDArray[Any]], Any],
    images: ImageLike | Iterable[ImageLike],
    *,
    jobs: int | None = None,
    recursive: bool = False,
    layout: str = "auto",
    max_pixels: int = 100_000_000,
    strict: bool = True,
    fail_fast: bool = False,
) -> Iterator[PictureResult]:
    """Apply a function to many pictures, several at a time, in bounded memory.

    Pictures are opened in their order, decoded and worked on side by side, and handed back in their
    order. At most ``jobs + 1`` are under way, and together they have no more pixels than one may
    have; a result is let go when the next one is asked for.

    Parameters
    ----------
    function : callable
        Given a picture as `read_image` returns it, makes the result. It is called on `jobs` threads
        at once; what holds Python's interpreter all the time gains nothing by that. An error of
        `cnntool.errors` is one of this picture, any other ends the work.
    images : path, bytes, binary file, PIL image or ndarray, or an iterable of them
        See `read_image`. A folder stands for the pictures and matrices in it, by their names.
    jobs : int, optional
        How many at once; by default as many as there are usable CPUs. One is worked on by the
        calling thread itself. Results do not depend on it.
    recursive : bool
        Whether to look into the folders of a folder.
    layout : {'auto', 'hwc', 'chw'}
        Axes of arrays, and of ``.npy`` files, that have three.
    max_pixels : int
        Larger pictures are refused before they are decoded.
    strict : bool
        Whether damage that a decoder can get over is an error.
    fail_fast : bool
        Whether the error of a picture is raised; else it is in its record, and the others go on.

    Yields
    ------
    PictureResult
        ``name``, ``result``, ``error`` and ``notes`` of each picture.

    Raises
    ------
    ArgumentTypeError
        What is no picture at all.

    Examples
    --------
    >>> for one in cnntool.map_pictures(np.shape, "samples"):
    ...     print(one.name, one.result)
    samples/camera.png (512, 512)
    samples/cat.png (300, 451, 3)
    samples/matrix.csv (5, 5)
    samples/rocket.jpg (427, 640, 3)
    """
    from cnntool.api import arguments
    from cnntool.api.pictures import LAYOUTS

    if not callable(function):
        raise arguments.wrong_type("function", function, "a function of a picture")
    layout = arguments.one_of("layout", layout, LAYOUTS)
    most = arguments.whole("max_pixels", max_pixels)
    limits = {"layout": layout, "max_pixels": most, "strict": arguments.flag("strict", strict)}
    count = usable_cpus() if jobs is None else arguments.whole("jobs", jobs, 1, 1024)
    opened = _each(_several(images), recursive=arguments.flag("recursive", recursive), **limits)
    fail = arguments.flag("fail_fast", fail_fast)
    return _mapped(function, opened, jobs=count, most=most, fail_fast=fail)


def _mapped(
    function: Callable[[NDArray[Any]], Any],
    pictures: Iterator[Opened],
    *,
    jobs: int,
    most: int,
    fail_fast: bool,
) -> Iterator[PictureResult]:
    from cnntool.api.pictures import to_array

    def work(opened: Opened, _: Any, lanes: int) -> Any:  # noqa: ARG001
        picture = opened.whole()
        return function(to_array(picture.info, picture.values))

    begun = ((opened, None) for opened in pictures)
    for opened, _, result in side_by_side(begun, work, jobs=jobs, threads=jobs, most=most):
        error = opened.error
        if isinstance(error, CnntoolError):
            error.source = error.source or opened.name
        if error is not None and (fail_fast or isinstance(error, ArgumentTypeError)):
            raise error
        yield PictureResult(opened.name, result, error, opened.notes)


def _several(images: Any) -> Iterator[Any]:
    """Go over pictures, be it one."""
    from cnntool.api import arguments

    if isinstance(images, (str, bytes, bytearray, memoryview, os.PathLike)) or any(
        hasattr(images, what) for what in ("__array__", "__array_interface__", "read")
    ):
        return iter([images])
    try:
        return iter(images)
    except TypeError:
        raise arguments.wrong_type("images", images, "a picture, a folder or several") from None


def _each(images: Iterator[Any], *, recursive: bool, **limits: Any) -> Iterator[Opened]:
    """Open pictures, and those in folders."""
    from cnntool.api.pictures import in_memory, source_of

    for image in images:
        if isinstance(image, (str, os.PathLike)) and is_folder(image):
            for item in expand([Path(image)], recursive=recursive):
                yield (
                    _failed(item.name, item.error)
                    if item.error
                    else Opened(item.path, item.name, **limits)
                )
            continue
        try:
            picture = in_memory(image, "images", limits["layout"])
            name, source = ("", None) if picture else source_of(image, "images")
        except CnntoolError as error:
            yield _failed("<image>", error)
        else:
            yield _Held(picture) if picture else Opened(source, name, **limits)


def _failed(name: str, error: CnntoolError) -> Opened:
    failed = Opened(None, name)
    failed.error = error
    return failed
