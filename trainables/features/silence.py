"""Where there is speech in a recording, and where long silence."""

from __future__ import annotations

from typing import TYPE_CHECKING

import librosa

if TYPE_CHECKING:
    import numpy as np

_NOTHING = 2.0**-16
"""Half a step of 16 bits: what stays below it everywhere is digital silence, in which no frame stands out as the loudest."""


def spoken_spans(samples: np.ndarray, sample_rate: int, silent_db: float, pause_seconds: float) -> list[tuple[int, int]]:
    """What is left of a recording once its long silences are cut out (Lu et al., section 4.2: 'cut the subject's long silent
    period of speech', without saying what is silent or long).

    Frames are ``librosa.effects.split``'s: 2048 samples every 512, centred, 128 ms every 32 ms at 16 kHz. Silent are those whose
    power is more than ``silent_db`` below the loudest one's: not below full scale, because the loudest goes with the recording's
    gain. So speech keeps up to half a frame before it and half a frame and a hop after it, by which silences are found too short.

    Args:
        samples: Float32 ``[n]``, in [-1, 1].
        sample_rate: Hz.
        silent_db: Positive.
        pause_seconds: A silence that lasts longer is cut out wholly, at the ends as well; a shorter one stays, as a pause in
            speaking.

    Returns:
        The first sample and the one after the last of each span that is left, in order of time; none in digital silence.
    """
    if not abs(samples).max(initial=0.0) >= _NOTHING:
        return []
    spoken = librosa.effects.split(samples, top_db=silent_db).tolist()
    edges = [0, *(edge for span in spoken for edge in span), len(samples)]
    silences = zip(edges[::2], edges[1::2], strict=True)
    long = [edge for first, last in silences if last - first > pause_seconds * sample_rate for edge in (first, last)]
    edges = [0, *long, len(samples)]
    return [(first, last) for first, last in zip(edges[::2], edges[1::2], strict=True) if first < last]
