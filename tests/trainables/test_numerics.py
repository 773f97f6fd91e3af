"""Contract of trainables/numerics.py."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from trainables.numerics import keep_freed_memory, seeded

# Page faults of filling and freeing 40 MiB (above the largest threshold that glibc adapts to by itself) twenty times.
_FAULTS = """
import resource, sys
from trainables.numerics import keep_freed_memory
took_effect = [keep_freed_memory(), keep_freed_memory()] if sys.argv[1] == "keep" else [None, None]
def fill(): bytearray(b"x") * (40 << 20)
fill()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20): fill()
print(*took_effect, "torch" in sys.modules, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def _faults(mode: str) -> list[str]:
    done = subprocess.run([sys.executable, "-c", _FAULTS, mode], capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_freed_memory_is_not_faulted_in_again_and_asking_twice_changes_nothing():
    first, second, torch_loaded, faults = _faults("keep")
    if first == "False":
        pytest.skip("the C library is not glibc, or an old one")
    assert second == "True"
    assert torch_loaded == "False"
    assert int(faults) < int(_faults("default")[3]) / 10


def test_another_c_library_is_left_alone(monkeypatch):
    monkeypatch.setattr("ctypes.CDLL", lambda name: object())
    assert keep_freed_memory() is False


def test_a_seed_never_changes_because_published_results_depend_on_it():
    assert seeded(3, "masks", 17) == 1066337302793474134


def test_a_seed_depends_on_every_part_its_type_and_its_place():
    asked = [(), (1,), ("1",), (1, 2), (2, 1), (12,), ("a", "b"), ("ab",), ("a,b",), (-1,), (3, "masks", 17), (3, "masks", 18)]
    assert len({seeded(*parts) for parts in asked}) == len(asked)


def test_seeds_have_63_bits_and_differ_in_the_32_that_torch_reads():
    seeds = [seeded(7, "dropout", step) for step in range(4000)]
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert max(seeds) > 2**62
    assert len({seed % 2**32 for seed in seeds}) == len(seeds)


def test_a_draw_depends_only_on_the_parts_not_on_other_draws():
    def masks(step):
        return torch.rand(4, generator=torch.Generator().manual_seed(seeded(5, "masks", step)))

    straight = [masks(step) for step in range(3)]
    torch.rand(1000)
    assert torch.equal(masks(2), straight[2])
    assert not torch.equal(straight[1], straight[2])


@pytest.mark.parametrize("part", [0.1, True, None, b"a", torch.tensor(1)])
def test_a_part_that_is_neither_int_nor_str_is_refused(part):
    with pytest.raises(TypeError, match="int and str"):
        seeded(3, part)
