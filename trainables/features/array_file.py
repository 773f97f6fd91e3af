"""One array in a ``.npy`` file: written row after row without knowing how many there will be, and read through a memory map."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

import numpy as np
import torch
from torch import Tensor

from trainables.errors import UserError

_DTYPES = (np.dtype(np.float16), np.dtype(np.float32))


class ArrayWriter:
    """Writes an array ``[N, *row]`` without knowing N or holding it in memory.

    The file bears its name only once it is whole; left by an exception, the writer removes what it has. Raises ValueError for rows
    of another shape, and UserError for a value that ``dtype`` cannot hold or if there are no rows at the end.

    Args:
        target: The file.
        row: Shape of a row.
        dtype: 'float16' or 'float32'.
    """

    def __init__(self, target: Path, row: tuple[int, ...], dtype: str) -> None:
        self._target = target
        self._partial = target.with_suffix(".partial.npy")
        self._row, self._dtype, self._written = row, np.dtype(dtype), 0
        self._torch_dtype, self._limit = getattr(torch, self._dtype.name), float(np.finfo(self._dtype).max)
        self._file = self._partial.open("wb")
        self._write_header()

    def write(self, rows: Tensor) -> None:
        """Write the next rows, ``[n, *row]``, at least one."""
        if tuple(rows.shape[1:]) != self._row:
            raise ValueError(f"expected a row of {list(self._row)}, found {list(rows.shape[1:])} after {self._written} rows")
        lowest, highest = (float(value) for value in rows.aminmax())  # NaN if there is one
        if not -self._limit <= lowest <= highest <= self._limit:
            raise UserError(
                f"found a value that is not finite in {self._dtype} in row {self._written} of {self._target}; "
                "check that recording's samples, which should lie in [-1, 1]"
            )
        # Converted by torch, which does it at ten times numpy's speed, to the same bits.
        self._file.write(rows.to(self._torch_dtype).contiguous().numpy().data)
        self._written += len(rows)

    def copy(self, file: Path) -> None:
        """Write all rows of a file that another writer has made of rows of the same shape and type.

        Raises UserError if it is missing or damaged, ValueError if its rows are of another kind.
        """
        rows = open_array(file, 1 + len(self._row))
        if (rows.shape[1:], rows.dtype) != (self._row, self._dtype):
            raise ValueError(f"expected rows of {self._dtype} {list(self._row)}, found {rows.dtype} {list(rows.shape[1:])}")
        self._file.write(rows.data)
        self._written += len(rows)

    def _write_header(self) -> None:
        # numpy leaves room in the header for the first axis to grow, so that it can be written again over itself.
        header = {"descr": self._dtype.str, "fortran_order": False, "shape": (self._written, *self._row)}
        self._file.seek(0)
        np.lib.format.write_array_header_1_0(self._file, header)

    def __enter__(self) -> ArrayWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._write_header()
        self._file.close()
        if kind is None and self._written:
            self._partial.replace(self._target)
            return
        self._partial.unlink()
        if kind is None:
            raise UserError(f"found nothing for {self._target}, expected at least one segment; check the corpus' subject turns")


def open_array(file: Path, axes: int) -> np.ndarray:
    """The array in a file, memory-mapped.

    Args:
        file: A ``.npy`` file of float16 or float32.
        axes: How many axes it has.

    Raises:
        UserError: It is missing, cut short, or not such an array.
    """
    mend = "delete this folder and run its stage again"
    try:
        # "c" (copy on write) rather than "r": torch warns of arrays that it cannot write to. Nothing writes here.
        array = np.load(file, mmap_mode="c", allow_pickle=False)
    except FileNotFoundError:
        raise UserError(f"found no {file}, expected the features of a finished stage; {mend}") from None
    except (ValueError, OSError, EOFError) as error:
        raise UserError(f"found an unreadable {file} ({error}), expected a whole .npy file; {mend}") from error
    if array.ndim != axes or array.dtype not in _DTYPES:
        found = f"{array.dtype} {list(array.shape)}"
        raise UserError(f"found {found} in {file}, expected float16 or float32 with {axes} axes; {mend}")
    return array
