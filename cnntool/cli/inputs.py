"""Inputs of commands: which are read, decoded ahead, and what their results are called."""

from __future__ import annotations

import os
import stat
import sys
import time
from collections import deque
from contextlib import nullcontext
from functools import partial
from itertools import chain, groupby, islice
from operator import length_hint
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from cnntool.api.batches import MANY, Opened, side_by_side
from cnntool.cli import console, options
from cnntool.cli.batch_log import stamp, sum_up
from cnntool.cli.output import emit_record, prose
from cnntool.errors import CnntoolError, ModelError, OutputError, UsageError
from cnntool.image.addresses import Address
from cnntool.image.files import FORMATS, STDIO, Listed, expand, is_folder
from cnntool.processes import Copies, can_copy
from cnntool.system import collect_garbage, usable_cpus
from cnntool.threads import ordered_map

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from cnntool.cli.batch_log import BatchLog, Stamp
    from cnntool.cli.options import ReadingOptions
    from cnntool.image.files import Expanded, Item
    from cnntool.image.source import ImageInfo

    Prepare = Callable[[Any, ImageInfo], Any]
    Record = dict[str, Any]
    Begin = Callable[["Input"], "Place"]
    Work = Callable[[Opened, "Place", int], "Done"]


def inputs_or_stdin(inputs: Sequence[Path]) -> Sequence[Path]:
    """Return the inputs, or stdin if there are none and something is piped in.

    Raises
    ------
    UsageError
        No inputs, and stdin is a terminal, on which nobody should wait; stdin named twice.
    """
    if isinstance(inputs, Listed):
        return inputs
    named = list(inputs) or [Path(STDIO)]
    if Path(STDIO) in named and sys.stdin.isatty():
        raise UsageError("no input", hint="name files or folders, or pipe a picture in")
    if named.count(Path(STDIO)) > 1:
        raise UsageError("stdin can be read only once")
    return named


def inputs_or_sample(inputs: Sequence[Path]) -> Sequence[Path]:
    """Return the inputs; stdin if there are none and something is piped in; else the sample."""
    if inputs or isinstance(inputs, Listed) or _is_piped():
        return inputs_or_stdin(inputs)
    from cnntool.nets.models.manifest import shipped_sample

    sample = shipped_sample()
    console.note(f"no picture was given: looking at the sample {sample.name}")
    return [sample]


def _is_piped() -> bool:
    """Tell whether stdin is a pipe, a file or a socket: no terminal, no ``/dev/null``."""
    try:
        mode = os.fstat(sys.stdin.fileno()).st_mode
    except (OSError, ValueError):  # no real file
        return not sys.stdin.isatty()
    return stat.S_ISFIFO(mode) or stat.S_ISREG(mode) or stat.S_ISSOCK(mode)


def is_several(inputs: Sequence[Path]) -> bool:
    """Return whether the inputs may stand for more than one file."""
    return len(inputs) > 1 or isinstance(inputs, Listed) or is_folder(inputs[0])


def figure_suffix(format_name: str) -> str:
    """Return the suffix of a figure's format, with its dot."""
    return ".svg" if format_name == "svg" else FORMATS[format_name].suffixes[0]


class Naming:
    """Decides where each result goes, and keeps two results from taking one name.

    Parameters
    ----------
    output : str or None
        What the user gave for --output.
    label : str
        Goes into names that the tool chooses, ``img.LABEL.png``.
    several : bool
        Whether there may be more than one input, which makes ``output`` a folder.
    """

    def __init__(self, output: str | None, label: str, *, several: bool) -> None:
        if output == "":
            raise UsageError("an empty file name", source="--output")
        self._output = output
        self._label = label
        self._taken: dict[Path, Item] = {}
        self._shared: set[str] | None = None
        separators = tuple(filter(None, (os.sep, os.altsep)))
        said = output is not None and (output.endswith(separators) or is_folder(output))
        self.folder = Path(output) if output not in (None, STDIO) and (several or said) else None
        self._several = several
        if several and output == STDIO:
            raise _crowded()
        if several and self.folder and not said and self.folder.suffix:
            raise UsageError(
                f"several inputs need a folder to go to, not {output!r}",
                hint=f"write '{output}{os.sep}' if this is one",
            )

    def items(
        self,
        inputs: Sequence[Path],
        *,
        recursive: bool,
        matrices: bool = True,
        format_name: str | None = None,
    ) -> Expanded:
        """Return the files that inputs stand for, see `cnntool.image.files.expand`.

        Parameters
        ----------
        inputs, recursive, matrices
            See there.
        format_name : str or None
            The format of the results, if one was asked for.

        Raises
        ------
        OutputError
            Two of one name, whose results would have one, too: before any is written.
        """
        found = expand(inputs, recursive=recursive, results=self.folder, matrices=matrices)
        two = self._output is None and len(inputs) == 2 and not isinstance(inputs, Listed)
        if two and str(inputs[1]) != STDIO and not os.path.lexists(inputs[1]):
            console.note(f"{inputs[1]}: it is read, too; what is written is named by `output`")
        text = format_name is not None and not FORMATS[format_name].binary
        printed = self._output == STDIO or (self._output is None and text)
        if self._several and not printed:
            self._look_ahead(found)
        return found

    def _look_ahead(self, items: Expanded) -> None:
        """See which names differ in the suffix only: just these are remembered later.

        Of a shard of a cluster nothing is seen, and all are remembered.
        """
        seen: set[int] = set()
        shared: set[str] = set()
        for stem, _ in self._names(items):
            key = hash(stem)
            if key in seen:
                shared.add(stem)
            seen.add(key)
        names: set[str] = set()
        for stem, name in self._names(items) if shared else ():
            if stem in shared:
                if name in names:
                    raise self._clash(items, name)
                names.add(name)
        if seen:
            self._shared = shared | names  # those of results that give way, too

    def _names(self, items: Expanded) -> Iterator[tuple[str, str]]:
        """Yield what results will be called by, without and with the suffixes of the inputs."""
        for name in map(self._name, items.places()):
            stem, suffix = os.path.splitext(name)  # noqa: PTH122
            if self.folder or suffix.lower() in _BINARY:  # else it may go to stdout
                yield stem, name

    def _name(self, place: str | Path) -> str:
        """Return what of an input's place is in the name of its result."""
        return str(place) if self.folder else os.path.basename(place)  # noqa: PTH119

    def _clash(self, items: Expanded, name: str) -> OutputError:
        """Make the error of two inputs of one name."""
        found = (item.name for item in items if self._name(item.relative) == name)
        first, *others = islice(found, 2)
        if others in ([], [first]):
            return OutputError("it is named twice", source=first)
        return OutputError(
            f"its result would have the name of that of {first}",
            source=others[0],
            hint="two lists with a folder each keep them apart"
            if items.listed
            else "--files-from keeps the tree of folders",
        )

    def target(self, item: Item, suffix: str, *, text: bool) -> Path | None:
        """Return the file for a result, or None for stdout.

        Parameters
        ----------
        item : Item
            The input.
        suffix : str
            Of the result's format, with its dot; for names that the tool chooses.
        text : bool
            Whether the result is text: that goes to stdout when no --output says otherwise, as does
            what came from stdin.

        Raises
        ------
        UsageError
            A picture among several results on stdout.
        OutputError
            A name that another result of this command has.
        """
        if self._output == STDIO or (self._output is None and (text or item.path is None)):
            if self._several and not text:
                raise _crowded()
            return None
        if self.folder is not None:
            target = self.folder / item.relative.with_suffix(suffix)
            if self._taken.get(target, item).relative != item.relative:  # x.jpg beside x.png
                target = target.with_name(item.relative.name + suffix)
            make_folder(target.parent)
        elif self._output is not None:
            target = Path(self._output)
        else:
            target = Path(f"{item.relative.stem}.{self._label}{suffix}")
        before = self._taken.get(target, item)
        if before is not item:
            raise OutputError(
                f"already holds the result of {before.name}",
                source=str(target),
                hint="give inputs of one name different folders",
            )
        self._take(target, item)
        return target

    def _take(self, target: Path, item: Item) -> None:
        """Remember the result of an input if another one may want its name."""
        name, shared = self._name(item.relative), self._shared
        if shared is None or name in shared or os.path.splitext(name)[0] in shared:  # noqa: PTH122
            self._taken[target] = item

    def place(self, item: Item, suffix: str, *, text: bool, as_json: bool) -> Path | None:
        """Return the file for a result, or None for stdout where that can take it.

        As `target`; ``as_json`` says that records go to stdout.

        Raises
        ------
        UsageError
            Numbers that would upset a terminal, or stdout wanted twice.
        """
        target = self.target(item, suffix, text=text)
        if target is None and not text:
            console.check_no_terminal()
        if target is None and as_json:
            raise UsageError("--json and the result both want stdout", hint="give --output FILE")
        return target

    def of_format(self, item: Item, format_name: str, *, as_json: bool) -> Path | None:
        """Return the file for a result in a format; see `place`."""
        row = FORMATS[format_name]
        return self.place(item, row.suffixes[0], text=not row.binary, as_json=as_json)

    def of_figure(
        self, item: Item, format_name: str | None, *, as_json: bool
    ) -> tuple[str, Path | None]:
        """Return the format of a figure, by default PNG, and the file for it; see `place`."""
        from cnntool.api.pictures import figure_format

        name = format_name or figure_format(self.named or "figure.png")
        if name == "npy":
            raise UsageError("`figure` draws a picture, and .npy holds numbers", source=item.name)
        return name, self.place(item, figure_suffix(name), text=False, as_json=as_json)

    def tell(self, record: dict[str, Any], target: Path | None, *, as_json: bool) -> None:
        """Say what was done: a record, or the file whose name the tool chose."""
        if record["clipped"]:
            console.detail(f"{record['input']}: {record['clipped']:.2%} of the values were clipped")
        if as_json:
            emit_record(record)
        elif target is not None and self.chosen:
            console.result(str(target))

    def keep(self, item: Item, output: str) -> Path:
        """Take the name that an input's result has from an earlier run."""
        target = Path(output)
        self._take(target, item)
        return target

    @property
    def named(self) -> str | None:
        """The file that the user named, if its suffix tells a format."""
        if self._output in (None, STDIO) or self.folder is not None:
            return None
        return self._output if Path(self._output).suffix else None

    @property
    def chosen(self) -> bool:
        """Whether the tool, not the user, chooses the results' names."""
        return self._output is None or self.folder is not None


_BINARY = frozenset(suffix for row in FORMATS.values() if row.binary for suffix in row.suffixes)


def _crowded() -> UsageError:
    return UsageError("several results cannot share stdout", hint="give --output a folder")


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, unless they are there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise OutputError("it is no folder", source=str(folder)) from None
    except OSError as error:
        reason = (error.strerror or "cannot be made").lower()
        raise OutputError(reason, source=str(folder)) from None


class Tally:
    """Counts inputs.

    Attributes
    ----------
    last : int
        The exit code of the last failure; 0 without one.
    """

    def __init__(self) -> None:
        self._seen = self._failed = self.last = 0
        self._since = time.monotonic()

    def add(self, code: int) -> None:
        """Count an input by its exit code."""
        self._seen += 1
        self.fail(code)

    def fail(self, code: int) -> None:
        """Count an error."""
        self._failed += code > 0
        self.last = code or self.last

    @property
    def code(self) -> int:
        """The exit code: 0, that of an only input, or 1 if some failed."""
        return self.last if self._seen == 1 else int(self._failed > 0)

    def finish(self, log: BatchLog | None) -> int:
        """Sum up if there were many, unless a log does; return the exit code."""
        if log is None and self._seen >= MANY:
            sum_up(self._seen - self._failed, 0, self._failed, since=self._since)
        return self.code


class Loaded(NamedTuple):
    """A picture that was read: which one it is, what it is, and what was made of it.

    With a log also its `stamp` from before it was read, see `cnntool.cli.batch_log.stamp`.
    """

    item: Item
    info: ImageInfo
    made: Any
    stamp: Stamp | None = None


class Reading(NamedTuple):
    """How pictures are read.

    Attributes
    ----------
    max_pixels : int
        Larger pictures are refused.
    strict : bool
        Whether damage that a decoder can get over is an error.
    fail_fast : bool
        Whether a bad one ends the command; else it is reported and the others go on.
    jobs : int or None
        How many are read side by side; None for as many as there are usable CPUs.
    """

    max_pixels: int
    strict: bool
    fail_fast: bool
    jobs: int | None


reading = options.gathered("reading", Reading, options.jobs, options.reading, options.fail_fast)
"""Adds --fail-fast, --max-pixels, --strict and --jobs; together: ``reading``."""


class Pictures:
    """The pictures of a command line, ready to be fed to a network.

    Parameters
    ----------
    items : iterable of Item
        What to read.
    prepare : callable
        Makes what is wanted of a picture (`cnntool.image.codecs.codec.Reader.picture`) and of what
        is known of it.
    reading : Reading
        How to read it.
    log : BatchLog, optional
        Says what an earlier run has done, and is told what becomes of the pictures.
    again : callable, optional
        Tells of a picture with which an earlier run is done: given it and its line.

    """

    def __init__(
        self,
        items: Iterable[Item],
        prepare: Prepare,
        reading: Reading,
        log: BatchLog | None = None,
        again: Callable[[Item, Record], None] = lambda *_: None,
    ) -> None:
        self._items = log.expect(items) if log else items
        self._prepare = prepare
        self._reading = reading
        self._log = log
        self._again = again
        self._tally = Tally()
        self._handed_out = self._finished = 0
        self._queue: deque[tuple[int, Callable[[], None]]] = deque()

    @property
    def code(self) -> int:
        """The exit code that the pictures deserve so far."""
        return self._tally.code

    @property
    def last(self) -> int:
        """The exit code of the last failure; 0 without one."""
        return self._tally.last

    def __length_hint__(self) -> int:
        return length_hint(self._items)

    def __iter__(self) -> Iterator[Loaded]:
        collect_garbage()  # there may be 100,000 pictures
        for result in ordered_map(self._load, self._items, self._reading.jobs or usable_cpus()):
            self._tally.add(0)
            if isinstance(result, Loaded):
                self._in_turn(partial(console.notes, result.item.name, result.info.notes))
                self._handed_out += 1
                yield result
            else:
                self._in_turn(result)

    def each(self, work: Callable[[Loaded], Record | None], track: Any = iter) -> int:
        """Do the work on every picture; a bad one is reported and the others go on.

        Parameters
        ----------
        work : callable
            Given a picture, does it, tells of it and returns the record.
        track : callable
            Goes over the pictures and shows how many are done.

        Returns
        -------
        int
            The exit code.
        """
        for loaded in track(self):
            try:
                self.done(loaded, work(loaded))
            except ModelError as error:
                self.fail(loaded.item, error, of=loaded.item.name)
            except CnntoolError as error:
                self.fail(loaded.item, error)
        return self.finish()

    def finish(self) -> int:
        """Sum up, see `Tally.finish`."""
        return self._tally.finish(self._log)

    def done(self, loaded: Loaded, record: Record | None) -> None:
        """Log a picture that is done with; those that were handed out before must be, too."""
        if self._log is not None:
            self._log.add(loaded.item, loaded.stamp, 0, "", record)
        self._finished += 1
        self._catch_up()

    def fail(self, item: Item, error: CnntoolError, *, of: str = "") -> None:
        """Report a picture that was handed out; with ``fail_fast`` end the command.

        Parameters
        ----------
        item : Item
            Which one.
        error : CnntoolError
            What is wrong.
        of : str
            The picture, where the error speaks of something else.
        """
        if of:
            error.source = f"{of}: {error.source}"
        self._report(item, error)
        self._finished += 1
        self._catch_up()

    def _in_turn(self, tell: Callable[[], None]) -> None:
        self._queue.append((self._handed_out, tell))
        self._catch_up()

    def _catch_up(self) -> None:
        """Tell of pictures what is to be told; where there is a log, in their order."""
        while self._queue and (self._log is None or self._queue[0][0] <= self._finished):
            self._queue.popleft()[1]()

    def _report(self, item: Item, error: CnntoolError) -> None:
        if self._reading.fail_fast:
            raise error
        self._tally.fail(error.exit_code)
        console.error(str(error), error.hint)
        if self._log is not None:
            fault = console.as_options(str(error))
            self._log.add(item, None, error.exit_code, fault, None)

    def _passed(self, item: Item) -> None:
        """Tell of a picture with which an earlier run is done."""
        assert self._log is not None  # noqa: S101
        line = self._log.line(item)  # read anew: many may wait to be told of
        self._again(item, line)
        self._log.again(line)

    def _load(self, item: Item) -> Loaded | Callable[[], None]:
        """Read a picture, or return what tells why there is nothing to be done with it."""
        from cnntool.image.files import open_reader

        fault = item.error or (self._log.fault(item) if self._log else None)
        if fault is not None:
            return partial(self._report, item, fault)
        if self._log and self._log.past(item) is not None:
            return partial(self._passed, item)
        read = stamp(item.path) if self._log else None
        source = sys.stdin.buffer if item.path is None else item.path
        most, strict = self._reading.max_pixels, self._reading.strict
        try:
            with open_reader(source, name=item.name, max_pixels=most, strict=strict) as reader:
                made = self._prepare(reader.picture(), reader.info)
                return Loaded(item, reader.info, made, read)
        except CnntoolError as error:
            error.source = error.source or item.name
            forget_allow_nan(error)
            return partial(self._report, item, error)
        except MemoryError:
            fault = CnntoolError("not enough memory", source=item.name)
            return partial(self._report, item, fault)


def forget_allow_nan(error: CnntoolError) -> None:
    """Take away a hint at what no command that shows pictures to networks has."""
    if "`allow_nan`" in error.hint:
        error.hint = ""


class Input(Opened):
    """An input of a command that was opened, unless an earlier run is done with it.

    Parameters
    ----------
    item : Item
        Which one.
    reading : ReadingOptions
        How.
    ahead : bool
        See `cnntool.api.batches.Opened`.
    log : BatchLog, optional
        Says what earlier runs are done with.

    Attributes
    ----------
    past : dict or None
        The line of the log, if an earlier run is done with it.
    stamp : list of int or None
        See `cnntool.cli.batch_log.stamp`, if there is a log.
    """

    def __init__(
        self, item: Item, reading: ReadingOptions, *, ahead: bool, log: BatchLog | None
    ) -> None:
        self.item = item
        fault = item.error or (log.fault(item) if log else None)
        self.past = log.past(item) if log and not fault else None
        self.stamp = stamp(item.path) if log and self.past is None else None
        done = fault is not None or self.past is not None
        source = None if done else item.path or sys.stdin.buffer
        super().__init__(source, item.name, ahead=ahead, **reading._asdict())
        self.error = self.error or fault


class Place(NamedTuple):
    """Where the result of an input goes.

    Attributes
    ----------
    format_name : str
        A key of ``FORMATS`` in `cnntool.image.files`.
    target : Path or None
        The file; None for stdout.
    left : bool
        Whether what is there was left by an earlier run, and may be replaced.
    """

    format_name: str
    target: Path | None
    left: bool


class Done(NamedTuple):
    """What was made of an input.

    Attributes
    ----------
    record : dict or None
        Of its result, if there is one.
    notes : sequence of str
        What is worth telling.
    text : str
        What is to be printed.
    """

    record: Record | None
    notes: Sequence[str] = ()
    text: str = ""


class Batch:
    """The inputs of a command, worked on one after the other or side by side.

    The first one is opened at once, and unless there are many its decoding begins.

    Parameters
    ----------
    items : iterable of Item
        What to open.
    reading : ReadingOptions
        How.
    log : BatchLog, optional
        Says what an earlier run has done, and is told what becomes of the inputs.
    """

    def __init__(
        self, items: Iterable[Item], reading: ReadingOptions, log: BatchLog | None = None
    ) -> None:
        items = log.expect(items) if log else items
        self._count = length_hint(items)
        rest = iter(items)
        few = list(islice(rest, MANY))
        self._many = len(few) == MANY
        self._items = chain(few, rest)
        self._reading = reading
        self._log = log
        self._next = next(self._opened(ahead=not self._many), None)

    def __length_hint__(self) -> int:
        return self._count

    def _opened(self, *, ahead: bool, jobs: int = 1) -> Iterator[Input]:
        """Open the inputs; of what is behind addresses several at a time, for it is fetched."""
        opened = partial(Input, reading=self._reading, ahead=ahead, log=self._log)
        for far, items in groupby(self._items, lambda item: isinstance(item.path, Address)):
            yield from ordered_map(opened, items, jobs if far else 1)

    def first(self) -> Input:
        """Return the first input."""
        assert self._next is not None  # noqa: S101
        return self._next

    def each(
        self,
        begin: Begin,
        work: Work,
        naming: Naming,
        doing: str,
        *,
        threads: int,
        jobs: int,
        as_json: bool,
    ) -> int:
        """Do the work on every input; a bad one is reported and the others go on.

        Parameters
        ----------
        begin : callable
            Is given an input, in their order, plans its work and says where the result goes.
        work : callable
            Given an input, that place and the number of threads that it may use, does the work: on
            some thread, or in a copy of this process.
        naming : Naming
            Tells of the results.
        doing : str
            What the progress line says.
        threads : int
            To compute on.
        jobs : int
            Inputs that are worked on side by side. Their pixels add up to what one input may have.
        as_json : bool
            Whether records are printed.

        Returns
        -------
        int
            0, the exit code of the error of an only input, or 1 if some of several failed.
        """
        collect_garbage()  # what is garbage from here on may be much: there may be 100,000 pictures
        jobs = jobs if self._count != 1 else 1
        many = self._many and jobs > 1 and not console.TALK.debug and can_copy()
        tally, planned = Tally(), False
        with (
            Copies(work, jobs) if many else nullcontext() as copies,
            console.Progress(doing) as progress,
        ):
            results = side_by_side(
                self._begun(begin, naming, ahead=jobs == 1 < threads, jobs=jobs),
                work,
                jobs=jobs,
                threads=threads,
                most=self._reading.max_pixels,
                copies=copies,
                in_turn=lambda _, place: place.target is None,
            )
            tell = partial(naming.tell, as_json=as_json)
            for given, place, done in progress.track(results, of=self):
                tally.add(self._told(given, place, done, tell))
                planned = planned or (done is not None and done.record is None)
        return tally.code if planned else tally.finish(self._log)  # a plan is nothing done

    def _begun(
        self, begin: Begin, naming: Naming, *, ahead: bool, jobs: int
    ) -> Iterator[tuple[Input, Place | None]]:
        """Open the inputs and plan what is to be done with each."""
        opened = self._opened(ahead=ahead, jobs=jobs)
        while (given := self._next) is not None:
            self._next = next(opened, None)
            place = None
            try:
                if given.past is not None:
                    place = Place("", naming.keep(given.item, given.past["output"]), left=False)
                elif given.is_ready:
                    place = begin(given)
            except (CnntoolError, MemoryError) as error:
                given.error = error
            yield given, place

    def _told(
        self,
        given: Input,
        place: Place | None,
        done: Done | None,
        tell: Callable[[Record, Path | None], None],
    ) -> int:
        """Tell and log what became of an input; return the exit code that it deserves."""
        item, code, fault = given.item, 0, ""
        record: Record | None = None
        try:
            if given.error is not None:
                raise given.error
            with console.notes_on_success():
                if given.past is not None:
                    done = Done(given.past["result"])
                assert place is not None and done is not None  # noqa: S101, PT018
                for note in done.notes:
                    console.note(note)
                if done.text:
                    prose(done.text)
                if done.record is not None:
                    tell(done.record, place.target)
                record = done.record
        except CnntoolError as error:
            error.source = error.source or item.name
            code, fault = error.exit_code, console.as_options(str(error))
            console.error(str(error), error.hint)
        except MemoryError:
            code, fault = CnntoolError.exit_code, f"{item.name}: not enough memory"
            console.error(fault)
        if self._log is not None:
            if given.past is not None:
                self._log.again(given.past)
            else:
                self._log.add(item, given.stamp, code, fault, record)
        return code

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._next is not None:
            self._next.close()
