"""How a process keeps its memory and how every random draw is seeded."""

from __future__ import annotations

import ctypes
import hashlib
import json

# From glibc's malloc.h. The order counts: any of these settings ends glibc's own adaptation of the mmap threshold, which would
# leave it at 128 KiB, worse than untouched, where an older glibc refuses the first one.
_MALLOC_SETTINGS = (
    (-3, 1 << 30),  # M_MMAP_THRESHOLD: blocks up to 1 GiB come from the heap
    (-1, -1),  # M_TRIM_THRESHOLD: the top of the heap is never given back
    (-2, 64 << 20),  # M_TOP_PAD: the heap grows by 64 MiB at a time
)


def keep_freed_memory() -> bool:
    """Tell glibc to keep the memory that this process frees, for its next allocation; return whether that took effect.

    glibc gives large blocks back to the kernel at once, so that each temporary of a training step is faulted in afresh, page
    by page; without that a step of Cnn10 on a CPU is 1.3 to 1.7 times as fast. The price is that the process' resident memory
    stays at its peak. Call it once, early; calling it again changes nothing. False, with nothing changed, where the C library
    is not glibc (macOS, Windows, musl) or is one that refuses a threshold of 1 GiB.
    """
    try:
        libc = ctypes.CDLL(None)
        libc.gnu_get_libc_version  # noqa: B018  musl also has a mallopt, which does nothing
        mallopt = libc.mallopt
    except (OSError, AttributeError, TypeError):  # TypeError: CDLL(None) on Windows
        return False
    return all(mallopt(parameter, value) == 1 for parameter, value in _MALLOC_SETTINGS)


def seeded(*parts: int | str) -> int:
    """Return a seed of 63 bits that depends on all ``parts``, in order, and on nothing else.

    Every random draw is made as ``torch.Generator().manual_seed(seeded(seed, "masks", step))``: from the run's seed, the
    draw's purpose and the step. So a draw neither moves because another purpose draws more or less, nor needs a generator's
    state in a checkpoint: a run resumed at step 17 draws what it would have drawn at step 17.

    BLAKE2b of the parts as JSON, which tells 1 from "1" and ("a", "b") from ("ab",). All bits are mixed because torch's
    generator on the CPU reads only the lower 32. The values are part of every published result: changing them invalidates all.

    Raises TypeError for a part that is neither int nor str (a float's repr is no identity; a bool is an int by mistake).
    """
    for part in parts:
        if type(part) not in (int, str):
            raise TypeError(f"a seed is made of int and str, not {type(part).__name__}: {part!r}")
    digest = hashlib.blake2b(json.dumps(parts).encode("ascii"), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1
