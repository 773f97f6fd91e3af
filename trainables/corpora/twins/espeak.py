"""libespeak-ng by ctypes. Speak only in a clean interpreter with one thread: every utterance is spoken in a fork of it.

A second call in one process sounds unlike the first (the library keeps state); a fork straight after initialising, with the
noise seeded, gives the same bytes every time. The licence of the engine is GPL-3, so its package is an optional extra.
"""

from __future__ import annotations

import ctypes
import functools
import os
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

SAMPLE_RATE = 22050
"""Of what the library makes, Hz."""

_PACKAGE = "espeakng-loader"
_SYNCHRONOUS = 2  # sound comes to the callback, in this thread
_DO_NOT_EXIT = 0x8000  # else a missing data folder ends the process
_UTF8 = 1
_RATE, _PITCH, _RANGE, _GAP = 1, 3, 4, 7
_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


def installed_version() -> str | None:
    """Version of the package, or None where it is absent or its library cannot be loaded on this machine."""
    try:
        version = metadata.version(_PACKAGE)
        _library()
    except (metadata.PackageNotFoundError, ImportError, OSError, AttributeError):
        return None
    return version


def synthesise(
    text: str, accent: str, variant: str, rate: int, pitch: int, pitch_range: int, gap: int, seed: int = 0
) -> np.ndarray:
    """Speak a text.

    Args:
        text: What to say.
        accent: Voice, for example 'gmw/en-US'.
        variant: Voice variant, for example 'f3'.
        rate: Words per minute, 80 to 450.
        pitch: 0 to 100; 50 is the voice's own.
        pitch_range: 0 (flat) to 100; 50 is the voice's own.
        gap: Pause between words, 10 ms.
        seed: Of the noise in breathy voices.

    Returns:
        int16 [samples] at :data:`SAMPLE_RATE`.

    Raises:
        RuntimeError: There is no such voice, or the engine made no sound.
    """
    import numpy as np

    _check_voice(accent, variant)
    _initialise()
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        _speak_and_exit(writer, text, f"{accent}+{variant}", seed, {_RATE: rate, _PITCH: pitch, _RANGE: pitch_range, _GAP: gap})
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        sound = pipe.read()
    _, status = os.waitpid(child, 0)
    if status or not sound:
        raise RuntimeError(f"espeak-ng could not say {text!r} with voice {accent}+{variant} (status {status})")
    return np.frombuffer(sound, dtype="<i2")


@functools.cache
def _library() -> ctypes.CDLL:
    import espeakng_loader

    return ctypes.CDLL(espeakng_loader.get_library_path())


@functools.cache
def _initialise() -> None:
    import espeakng_loader

    rate = _library().espeak_Initialize(_SYNCHRONOUS, 0, espeakng_loader.get_data_path().encode(), _DO_NOT_EXIT)
    if rate != SAMPLE_RATE:
        raise RuntimeError(f"espeak-ng did not start (espeak_Initialize returned {rate}, expected {SAMPLE_RATE})")


@functools.cache
def _check_voice(accent: str, variant: str) -> None:
    """The library takes an unknown variant for the voice without one, and says nothing; so look at its data."""
    import espeakng_loader

    data = Path(espeakng_loader.get_data_path())
    for path in (data / "lang" / accent, data / "voices" / "!v" / variant):
        if not path.is_file():
            raise RuntimeError(f"espeak-ng has no voice {accent}+{variant}: {path} is missing")


def _speak_and_exit(writer: int, text: str, voice: str, seed: int, parameters: dict[int, int]) -> None:
    """The forked child: everything ends in ``os._exit``, so that nothing of the parent runs twice."""
    status = 1
    try:
        library, pieces = _library(), []
        library.espeak_ng_SetRandSeed(ctypes.c_long(seed))  # else the noise of breathy voices is seeded with the time

        @_CALLBACK
        def collect(samples, count, _events):  # type: ignore[no-untyped-def]
            if samples and count > 0:
                pieces.append(ctypes.string_at(samples, 2 * count))
            return 0

        library.espeak_SetSynthCallback(collect)
        if library.espeak_SetVoiceByName(voice.encode()) == 0:  # else the last voice would stay
            for parameter, value in parameters.items():
                library.espeak_SetParameter(parameter, value, 0)
            encoded = text.encode()
            status = library.espeak_Synth(encoded, ctypes.c_size_t(len(encoded) + 1), 0, 1, 0, _UTF8, None, None)
            with os.fdopen(writer, "wb") as pipe:
                pipe.write(b"".join(pieces))
    finally:
        os._exit(status)
