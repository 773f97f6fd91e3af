"""Single flight and admission: nothing is computed twice, nothing starves, the dead are replaced."""

import random

import pytest

from orchestrator.execution.ledger import LEASE_SECONDS, Ledger
from orchestrator.execution.resources import Need

ONE, TWO = Need(workers=1), Need(workers=2)


class Clock:
    def __init__(self):
        self.time = 0.0

    def __call__(self):
        return self.time


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def ledger(clock):
    return Ledger(capacity={"CPU": 2.0, "GPU": 1.0}, now=clock)


def test_a_stage_wanted_by_two_is_given_to_one(ledger):
    assert ledger.ask("sweep", "a", {"s": ONE}) == "s"
    assert ledger.ask("sweep", "b", {"s": ONE}) is None


def test_a_trial_that_waits_for_one_stage_is_given_another_it_lacks(ledger):
    ledger.ask("sweep", "a", {"s": ONE})
    assert ledger.ask("sweep", "b", {"s": ONE, "t": ONE}) == "t"


def test_a_finished_stage_frees_its_resources(ledger):
    ledger.ask("sweep", "a", {"s": ONE})
    ledger.ask("sweep", "b", {"t": ONE})
    assert ledger.ask("sweep", "c", {"u": ONE}) is None
    ledger.finish("a", "s")
    assert ledger.ask("sweep", "c", {"u": ONE}) == "u"


def test_a_wide_stage_is_not_starved_by_narrow_ones(ledger):
    ledger.ask("sweep", "a", {"s": ONE})
    assert ledger.ask("sweep", "wide", {"w": TWO}) is None
    assert ledger.ask("sweep", "narrow", {"n": ONE}) is None, "the second CPU is kept for the wide stage, which came first"
    ledger.finish("a", "s")
    assert ledger.ask("sweep", "narrow", {"n": ONE}) is None
    assert ledger.ask("sweep", "wide", {"w": TWO}) == "w"


def test_the_owner_that_stops_renewing_is_replaced_and_cannot_finish_for_its_successor(ledger, clock):
    ledger.ask("sweep", "dead", {"s": ONE})
    clock.time += LEASE_SECONDS + 1
    assert ledger.ask("sweep", "heir", {"s": ONE}) == "s"
    ledger.finish("dead", "s")
    assert ledger.ask("sweep", "third", {"s": ONE}) is None, "the heir still computes"


def test_the_owner_that_renews_keeps_its_stage_however_long_it_takes(ledger, clock):
    ledger.ask("sweep", "a", {"s": ONE})
    for _ in range(100):
        clock.time += LEASE_SECONDS / 2
        ledger.renew("sweep", "a", "s", ONE)
        assert ledger.ask("sweep", "b", {"s": ONE}) is None


def test_a_waiting_stage_that_nobody_asks_for_any_more_blocks_nobody(ledger, clock):
    ledger.ask("sweep", "a", {"s": ONE})
    ledger.ask("sweep", "gone", {"w": TWO})
    clock.time += LEASE_SECONDS + 1
    ledger.renew("sweep", "a", "s", ONE)
    assert ledger.ask("sweep", "b", {"t": ONE}) == "t"


def test_two_halves_share_a_gpu_and_a_third_waits(ledger):
    half = Need(workers=1, cpus=0, gpus=0.5)
    assert [ledger.ask("sweep", owner, {owner: half}) for owner in "abc"] == ["a", "b", None]


def test_what_a_trial_also_wanted_blocks_nobody_once_it_computes(ledger):
    assert ledger.ask("sweep", "a", {"s": ONE, "t": ONE}) == "s"
    assert ledger.ask("sweep", "b", {"u": ONE}) == "u"


def test_stopping_one_sweep_leaves_the_others_alone(ledger):
    ledger.ask("mine", "a", {"s": ONE})
    ledger.ask("yours", "b", {"t": ONE})
    ledger.stopping.add("mine")
    assert ledger.progress("s", 0.5)
    assert not ledger.progress("t", 0.5)
    ledger.finish("a", "s")
    assert ledger.ask("mine", "a", {"u": ONE}) is None
    assert ledger.ask("yours", "c", {"u": ONE}) == "u"


def test_a_restarted_ledger_learns_of_leases_from_those_who_renew_them(clock):
    fresh = Ledger(capacity={"CPU": 2.0}, now=clock)
    fresh.renew("sweep", "a", "s", ONE)
    assert fresh.ask("sweep", "b", {"s": ONE}) is None


def test_a_dead_lease_does_not_count_as_running(ledger, clock):
    ledger.ask("sweep", "a", {"s": ONE})
    assert list(ledger.running("sweep")) == ["s"]
    assert ledger.running("another") == {}
    clock.time += LEASE_SECONDS + 1
    assert ledger.running() == {}


def test_random_trials_over_shared_stages_end_with_every_stage_run_once_and_never_over_capacity():
    for seed in range(50):
        chance = random.Random(seed)
        clock = Clock()
        ledger = Ledger(capacity={"CPU": float(chance.randint(2, 4))}, now=clock)
        needs = {f"s{n}": Need(workers=chance.randint(1, 2)) for n in range(12)}
        trials = {f"t{n}": chance.sample(sorted(needs), 4) for n in range(8)}
        done, runs, busy = set(), [], {}
        for _ in range(3000):
            clock.time += 0.1
            owner = chance.choice(sorted(trials))
            if owner in busy and chance.random() < 0.3:
                done.add(busy[owner])
                ledger.finish(owner, busy.pop(owner))
            elif owner not in busy and (wanted := {n: needs[n] for n in trials[owner] if n not in done}):
                name = ledger.ask("sweep", owner, wanted)
                runs += [name] if name else []
                busy |= {owner: name} if name else {}
            assert sum(needs[name].workers for name in busy.values()) <= ledger.capacity["CPU"]
            for name, stage in busy.items():
                ledger.renew("sweep", name, stage, needs[stage])
        assert sorted(runs) == sorted(done) == sorted({name for chain in trials.values() for name in chain})


def test_a_trial_that_asks_for_something_else_no_longer_waits_for_what_another_has_finished_meanwhile(ledger):
    ledger.ask("sweep", "a", {"s": ONE})
    ledger.ask("sweep", "b", {"w": TWO})
    assert ledger.ask("sweep", "b", {"t": ONE}) == "t", "nothing is kept free for w"


def test_a_trial_that_withdraws_keeps_nothing_free(ledger):
    ledger.ask("sweep", "a", {"s": ONE})
    ledger.ask("sweep", "b", {"w": TWO})
    assert ledger.ask("sweep", "c", {"t": ONE}) is None
    ledger.withdraw("b")
    assert ledger.ask("sweep", "c", {"t": ONE}) == "t"
