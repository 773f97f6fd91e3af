"""Features of a corpus as one memory-mapped array: written once, row by row, and read by every stage and worker."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

import numpy as np
import torch
from torch import Tensor

from trainables.errors import UserError

FILE_NAME = "features.npy"
_DTYPES = (np.dtype(np.float16), np.dtype(np.float32))


class FeatureWriter:
    """Writes features ``[N, frames, mels]`` into ``path/features.npy``, row by row, without knowing N or holding them in memory.

    float16 halves what an epoch reads; on log-mel values between -100 and 40 dB it rounds by at most 0.04 dB.

    >>> with FeatureWriter(folder, frames=501, mels=64, dtype="float16") as writer:  # doctest: +SKIP
    ...     writer.append(log_mel(waveform))

    The file bears its name only once it is whole; left by an exception, the writer removes what it has. Raises ValueError for a row
    of another shape, and UserError for a value that ``dtype`` cannot hold or if there are no rows at the end.
    """

    def __init__(self, path: Path, frames: int, mels: int, dtype: str = "float16") -> None:
        self._target = Path(path) / FILE_NAME
        self._partial = self._target.with_suffix(".partial.npy")
        self._shape, self._dtype, self._written = (frames, mels), np.dtype(dtype), 0
        self._torch_dtype, self._limit = getattr(torch, self._dtype.name), float(np.finfo(self._dtype).max)
        self._file = self._partial.open("wb")
        self._write_header()

    def append(self, row: Tensor) -> None:
        """Write the next row, ``[frames, mels]``."""
        if tuple(row.shape) != self._shape:
            raise ValueError(f"expected a row of {list(self._shape)}, found {list(row.shape)} after {self._written} rows")
        lowest, highest = (float(value) for value in row.aminmax())  # NaN if there is one
        if not -self._limit <= lowest <= highest <= self._limit:
            raise UserError(
                f"found a value that is not finite in {self._dtype} in row {self._written} of {self._target}; "
                "check that recording's samples, which should lie in [-1, 1]"
            )
        # Converted by torch, which does it at ten times numpy's speed, to the same bits.
        self._file.write(row.to(self._torch_dtype).contiguous().numpy().data)
        self._written += 1

    def extend(self, path: Path) -> None:
        """Write all rows of ``path/features.npy``, which another writer has made of rows of the same shape and type.

        Raises UserError if that file is missing or damaged, ValueError if its rows are of another kind.
        """
        rows = _open(Path(path))
        if (rows.shape[1:], rows.dtype) != (self._shape, self._dtype):
            raise ValueError(f"expected rows of {self._dtype} {list(self._shape)}, found {rows.dtype} {list(rows.shape[1:])}")
        self._file.write(rows.data)
        self._written += len(rows)

    def _write_header(self) -> None:
        # numpy leaves room in the header for the first axis to grow, so that it can be written again over itself.
        header = {"descr": self._dtype.str, "fortran_order": False, "shape": (self._written, *self._shape)}
        self._file.seek(0)
        np.lib.format.write_array_header_1_0(self._file, header)

    def __enter__(self) -> FeatureWriter:
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


class FeatureShard:
    """The features ``[N, frames, mels]`` in a result folder, read from the page cache row by row.

    Raises UserError if the folder holds no ``features.npy``, or one that is cut short or not such an array.
    """

    def __init__(self, path: Path) -> None:
        self._rows = torch.from_numpy(_open(Path(path)))

    def __len__(self) -> int:
        return len(self._rows)

    def gather(self, indices: Tensor | np.ndarray) -> Tensor:
        """Return the rows at ``indices`` ``[B]``, in their order and as often as asked, as float32 ``[B, frames, mels]``.

        They are read in the order in which they lie on disk. Raises IndexError unless 0 <= index < N.
        """
        wanted = torch.as_tensor(indices, dtype=torch.int64)
        if len(wanted) and not 0 <= int(wanted.min()) <= int(wanted.max()) < len(self):
            raise IndexError(f"expected indices from 0 to {len(self) - 1}, found {wanted.tolist()}")
        batch = torch.empty(len(wanted), *self._rows.shape[1:])
        in_file_order, places = wanted.sort()
        for place, row in zip(places.tolist(), in_file_order.tolist(), strict=True):
            batch[place] = self._rows[row]
        return batch


def _open(folder: Path) -> np.ndarray:
    """The features in a folder, memory-mapped; told as a fault if they are missing or damaged."""
    file = folder / FILE_NAME
    mend = "delete this folder and run its stage again"
    try:
        # "c" (copy on write) rather than "r": torch warns of arrays that it cannot write to. Nothing writes here.
        array = np.load(file, mmap_mode="c", allow_pickle=False)
    except FileNotFoundError:
        raise UserError(f"found no {file}, expected the features of a finished stage; {mend}") from None
    except (ValueError, OSError, EOFError) as error:
        raise UserError(f"found an unreadable {file} ({error}), expected a whole .npy file; {mend}") from error
    if array.ndim != 3 or array.dtype not in _DTYPES:
        found = f"{array.dtype} {list(array.shape)}"
        raise UserError(f"found {found} in {file}, expected float16 or float32 [N, frames, mels]; {mend}")
    return array
