"""Files of vectors, written row by row: Parquet, ``.npz``, ``.npy``, CSV."""

from __future__ import annotations

import io
import json
from abc import ABC, abstractmethod
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np

from cnntool.errors import InputError, OutputError, system_errors_as
from cnntool.image.atomic import Sink
from cnntool.shapes.text import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

GROUP = 8 << 20
"""Bytes of vectors in a row group of Parquet."""

MOST_ROWS = 65536
"""Rows in one."""


class Row(NamedTuple):
    """A picture's vector.

    Attributes
    ----------
    path : str
        The picture, as it was named.
    label : str
        The folder that it lies in, below the one that was named; empty where it lies in that.
    sha256 : str
        Of its file; empty of what is none.
    vector : ndarray of float32, shape (n,)
    """

    path: str
    label: str
    sha256: str
    vector: NDArray[np.float32]


def check_length(row: Row, length: int) -> None:
    """Refuse a vector of another length than those before it.

    Raises
    ------
    InputError
    """
    if len(row.vector) != length:
        values = counted(len(row.vector), "value", ",")
        raise InputError(
            f"its vector has {values}, those before have {length:,}",
            source=row.path,
            hint="`crop` cuts all pictures to one size, `pool=mean` takes any",
        )


class Table(ABC):
    """A file of vectors; leave it as a context manager.

    It appears when it is left without an error and has rows.

    Parameters
    ----------
    path : Path or None
        The file; None for stdout.
    about : mapping of str to str
        Where the vectors come from.
    overwrite : bool
        Whether an existing file may be replaced.

    Attributes
    ----------
    rows, length : int
        How many vectors there are, and of how many values.
    """

    def __init__(self, path: Path | None, about: Mapping[str, str], *, overwrite: bool) -> None:
        self.rows = self.length = 0
        self._about = json.dumps(dict(about))
        self._sink = Sink(path, overwrite=overwrite)

    def add(self, row: Row) -> None:
        """Write a row.

        Raises
        ------
        InputError
            Its vector has another length than those before.
        """
        if self.rows:
            check_length(row, self.length)
        else:
            self.length = len(row.vector)
            self.begin()
        self.rows += 1
        self.write(row)

    @abstractmethod
    def begin(self) -> None:
        """Write what comes before the first row, now that ``length`` is known."""

    @abstractmethod
    def write(self, row: Row) -> None:
        """Write a row."""

    @abstractmethod
    def end(self) -> None:
        """Write what comes after the last row."""

    def close(self) -> None:  # noqa: B027 - most have nothing to do
        """Let go of what is not needed any more, be it complete or not."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is not None or not self.rows:
                self._sink.give_up()
                return
            with self._sink:
                self.end()
        finally:
            self.close()


class _Csv(Table):
    """Path, label, hash, and a column for each value, with as many digits as tell it apart."""

    def begin(self) -> None:
        self._line("path", "label", "sha256", *(f"f{place}" for place in range(self.length)))

    def write(self, row: Row) -> None:
        self._line(*row[:3], *map(str, row.vector))

    def _line(self, *cells: str) -> None:
        import csv

        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerow(cells)
        self._sink.write(text.getvalue().encode())

    def end(self) -> None:
        pass


class _Npy(Table):
    """The matrix alone; its header leaves room for how many rows there will be."""

    def begin(self) -> None:
        self._header = _header((0, self.length))
        self._sink.write(self._header)

    def write(self, row: Row) -> None:
        self._sink.write(row.vector.astype("<f4", copy=False).tobytes())

    def end(self) -> None:
        header = _header((self.rows, self.length))
        assert len(header) == len(self._header)  # noqa: S101 - numpy pads for the first axis
        self._sink.write_at(0, header)


class _Npz(Table):
    """The arrays ``features``, ``paths``, ``labels``, ``sha256`` and ``metadata``.

    How long they are stands at their beginning, so rows wait in files without a name until all
    are there.
    """

    def begin(self) -> None:
        self._vectors, self._texts = TemporaryFile(), TemporaryFile()  # noqa: SIM115
        self._widths = [1, 1, 64]

    def write(self, row: Row) -> None:
        with system_errors_as(OutputError, "a temporary file"):
            self._vectors.write(row.vector.astype("<f4", copy=False).tobytes())
            self._texts.write(json.dumps(row[:3]).encode() + b"\n")
        self._widths = [max(pair) for pair in zip(self._widths, map(len, row[:3]), strict=True)]

    def end(self) -> None:
        from zipfile import ZipFile

        stream: Any = self._sink
        with ZipFile(stream, "w") as archive:

            def add(name: str, head: bytes, parts: Iterator[bytes]) -> None:
                with archive.open(f"{name}.npy", "w", force_zip64=True) as entry:
                    entry.write(head)
                    for part in parts:
                        entry.write(part)

            self._vectors.seek(0)
            parts = iter(lambda: self._vectors.read(1 << 20), b"")
            add("features", _header((self.rows, self.length)), parts)
            for place, name in enumerate(("paths", "labels", "sha256")):
                kind = f"<U{self._widths[place]}"
                add(name, _header((self.rows,), kind), self._column(place, kind))
            kind = f"<U{len(self._about)}"
            add("metadata", _header((), kind), iter([np.array(self._about, kind).tobytes()]))

    def _column(self, place: int, kind: str) -> Iterator[bytes]:
        self._texts.seek(0)
        for line in self._texts:
            yield np.array(json.loads(line)[place], kind).tobytes()

    def close(self) -> None:
        if self.length:
            self._vectors.close()
            self._texts.close()


def _header(shape: tuple[int, ...], kind: str = "<f4") -> bytes:
    """Return what stands before the numbers of an array."""
    head = io.BytesIO()
    about = {"descr": kind, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(head, about)
    return head.getvalue()


class _Parquet(Table):
    """Columns ``path``, ``label``, ``sha256`` and ``features``, in row groups of bounded size.

    The metadata of the file have `about` as JSON under ``cnntool``.
    """

    def __init__(self, path: Path | None, about: Mapping[str, str], *, overwrite: bool) -> None:
        try:
            import pyarrow as pa
            from pyarrow import parquet
        except ImportError:
            raise OutputError(
                "Parquet is written by pyarrow, which is not installed",
                source=str(path),
                hint="pip install 'cnntool[parquet]'; .npz, .npy and .csv need nothing more",
            ) from None
        super().__init__(path, about, overwrite=overwrite)
        self._pa, self._parquet = pa, parquet
        self._writer: Any = None

    def begin(self) -> None:
        pa = self._pa
        self._waiting: list[Row] = []
        self._most = max(1, min(MOST_ROWS, GROUP // (4 * max(1, self.length))))
        texts = [(name, pa.string()) for name in ("path", "label", "sha256")]
        kind = pa.list_(pa.float32(), self.length)
        self._schema = pa.schema([*texts, ("features", kind)], {"cnntool": self._about})
        self._writer = self._parquet.ParquetWriter(
            pa.PythonFile(self._sink, mode="w"),
            self._schema,
            compression="zstd",
            use_dictionary=["label"],
        )

    def write(self, row: Row) -> None:
        self._waiting.append(row)
        if len(self._waiting) == self._most:
            self._flush()

    def _flush(self) -> None:
        pa = self._pa
        if not self._waiting:
            return
        *texts, vectors = zip(*self._waiting, strict=True)
        columns = [pa.array(text, pa.string()) for text in texts]
        values = pa.array(np.concatenate(vectors))
        columns.append(pa.FixedSizeListArray.from_arrays(values, self.length))
        self._writer.write_table(pa.Table.from_arrays(columns, schema=self._schema))
        self._waiting.clear()

    def end(self) -> None:
        self._flush()
        self._writer.close()

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()  # into nothing, where it was given up


_TABLES: dict[str, type[Table]] = {"parquet": _Parquet, "npz": _Npz, "npy": _Npy, "csv": _Csv}

FORMS = tuple(_TABLES)


def form_of(path: Path) -> str:
    """Return the format that a file name's suffix stands for.

    Raises
    ------
    OutputError
        It stands for none that holds vectors.
    """
    form = path.suffix.lower().removeprefix(".")
    if form not in FORMS:
        raise OutputError(
            f"vectors are not written as '{path.suffix}'" if form else "the name has no suffix",
            source=str(path),
            hint="`format` names one: " + ", ".join(FORMS),
        )
    return form


def open_table(path: Path | None, form: str, about: Mapping[str, str], *, overwrite: bool) -> Table:
    """Begin a file of vectors.

    Parameters
    ----------
    path : Path or None
        The file, which appears when it is complete; None for stdout.
    form : str
        One of `FORMS`.
    about : mapping of str to str
        Where they come from, see `cnntool.api.feature_extraction.FeatureExtractor.about`.
    overwrite : bool
        Whether an existing file may be replaced.

    Raises
    ------
    OutputError
        It cannot be written.
    """
    return _TABLES[form](path, about, overwrite=overwrite)
