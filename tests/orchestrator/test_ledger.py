"""Single flight and admission: nothing is computed twice, nothing starves, the dead are replaced."""

import random
import time

import pytest

from orchestrator.execution.cluster_shape import ClusterShape, NodeGroup
from orchestrator.execution.ledger import LEASE_SECONDS, Ledger
from orchestrator.execution.ledger_snapshot import RunningStage, Snapshot
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
    return Ledger(ClusterShape(({"CPU": 2.0, "GPU": 1.0},)), now=clock)


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
    fresh = Ledger(ClusterShape(({"CPU": 2.0},)), now=clock)
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
        ledger = Ledger(ClusterShape(({"CPU": float(chance.randint(2, 4))},)), now=clock)
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
            assert sum(needs[name].workers for name in busy.values()) <= ledger.shape.total()["CPU"]
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


def nodes(*cpus, gpus=0):
    return ClusterShape(tuple({"CPU": float(number), "GPU": float(gpus)} for number in cpus))


def test_a_worker_does_not_span_two_nodes(clock):
    ledger = Ledger(nodes(1, 1), now=clock)
    assert ledger.ask("sweep", "big", {"b": Need(cpus=2)}) is None
    assert ledger.ask("sweep", "gang", {"g": TWO}) == "g"


def test_the_workers_of_a_stage_start_together_or_not_at_all(clock):
    ledger = Ledger(nodes(1, 1, 1), now=clock)
    ledger.ask("sweep", "a", {"s": ONE})
    ledger.ask("sweep", "b", {"t": ONE})
    assert ledger.ask("sweep", "gang", {"g": TWO}) is None
    ledger.finish("a", "s")
    assert ledger.ask("sweep", "gang", {"g": TWO}) == "g"


def test_what_is_kept_for_a_stage_that_lacks_a_gpu_is_no_more_than_an_empty_cluster_would_give(clock):
    """Else a queue for the only GPU would keep every CPU idle."""
    ledger = Ledger(ClusterShape(({"CPU": 4.0, "GPU": 1.0},)), now=clock)
    ledger.ask("sweep", "a", {"s": Need(gpus=1.0)})
    for owner in "bcdef":
        assert ledger.ask("sweep", owner, {owner: Need(gpus=1.0)}) is None
    assert ledger.ask("sweep", "x", {"x": ONE}) == "x"
    assert ledger.ask("sweep", "y", {"y": ONE}) == "y"
    assert ledger.ask("sweep", "z", {"z": ONE}) is None, "the last CPU is for the next that gets the GPU"


def test_what_no_node_holds_any_more_waits_without_keeping_others_from_starting(clock):
    ledger = Ledger(nodes(4, 1), now=clock)
    ledger.shape = nodes(1)
    assert ledger.ask("sweep", "big", {"b": Need(cpus=4)}) is None
    assert ledger.ask("sweep", "small", {"s": ONE}) == "s"
    ledger.shape = nodes(1, 4)
    assert ledger.ask("sweep", "big", {"b": Need(cpus=4)}) == "b"


def test_nodes_that_come_are_used_and_a_node_that_goes_is_not_counted_on(clock):
    ledger = Ledger(nodes(1), now=clock)
    assert [ledger.ask("sweep", owner, {owner: ONE}) for owner in "ab"] == ["a", None]
    ledger.shape = nodes(1, 1)
    assert ledger.ask("sweep", "b", {"b": ONE}) == "b"
    ledger.shape = nodes(1)
    ledger.finish("a", "a")
    assert ledger.ask("sweep", "c", {"c": ONE}) is None, "what runs on takes the only CPU"


def test_nodes_to_come_count_as_room_and_what_waits_for_them_is_told_so_until_it_begins(clock):
    growing = ClusterShape(({"CPU": 1.0, "GPU": 0.0},), (NodeGroup("gpu", {"CPU": 2.0, "GPU": 1.0}, 1),))
    ledger = Ledger(growing, now=clock)
    assert [ledger.ask("sweep", owner, {owner: Need(gpus=1.0)}) for owner in "ab"] == ["a", None]
    waits = ledger.snapshot().queued
    assert (waits["a"].place, waits["b"].place) == (0, 1)
    assert waits["a"].reason == "waits for the autoscaler: needs 1 x 1 GPU; 0 are free, nodes of group 'gpu' are to come"
    ledger.shape = ClusterShape((*growing.nodes, growing.growth[0].resources))
    assert list(ledger.snapshot().running) == ["a"]


def test_a_snapshot_tells_what_runs_and_why_each_other_waits(clock):
    ledger = Ledger(nodes(8, gpus=4), now=clock)
    ledger.ask("mine", "a", {"s": Need(3, 1, 1.0)})
    ledger.ask("yours", "b", {"wide": Need(4, 1, 1.0)})
    ledger.ask("mine", "c", {"late": Need(1, 1, 1.0)})
    ledger.ask("mine", "d", {"huge": Need(9, 1, 0.0)})
    ledger.progress("s", 0.25)
    clock.time += 5
    found = Snapshot.model_validate_json(ledger.snapshot().model_dump_json())
    assert found.running["s"] == RunningStage(owner="a", sweep="mine", need=Need(3, 1, 1.0), fraction=0.25, seconds=5)
    assert {name: entry.reason for name, entry in found.queued.items()} == {
        "wide": "needs 4 x 1 GPU; 1 of 4 are free, first in the queue",
        "late": "room is kept for wide, which waits longer; second in the queue",
        "huge": "needs 9 workers of 1 CPU each, of which the nodes that are left hold 8; waits for nodes to come back",
    }
    assert (found.capacity, found.free) == ({"CPU": 8.0, "GPU": 4.0}, {"CPU": 5.0, "GPU": 1.0})
    assert set(ledger.snapshot("yours").queued) == {"wide"}


def test_a_stage_keeps_its_place_in_the_queue_while_anyone_still_wants_it(ledger):
    ledger.ask("sweep", "a", {"s": TWO})
    ledger.ask("sweep", "b", {"t": TWO})
    ledger.ask("sweep", "c", {"u": TWO})
    ledger.ask("sweep", "d", {"t": TWO})
    ledger.withdraw("d")
    ledger.finish("a", "s")
    assert ledger.ask("sweep", "c", {"u": TWO}) is None
    assert ledger.ask("sweep", "b", {"t": TWO}) == "t"


def test_a_stage_that_needs_more_while_it_runs_is_given_it_before_others(ledger):
    ledger.ask("sweep", "a", {"s": ONE})
    ledger.renew("sweep", "a", "s", Need(cpus=2))
    assert ledger.ask("sweep", "b", {"t": ONE}) is None
    ledger.finish("a", "s")
    assert ledger.ask("sweep", "b", {"t": ONE}) == "t"


def test_a_sweep_that_is_being_stopped_keeps_nothing_free(ledger):
    ledger.ask("mine", "a", {"s": ONE})
    ledger.ask("mine", "b", {"w": TWO})
    ledger.stopping.add("mine")
    ledger.ask("mine", "b", {"w": TWO})
    assert ledger.ask("yours", "c", {"t": ONE}) == "t"


def test_the_first_in_the_queue_starts_however_many_smaller_ones_come_after_it(clock):
    """On several nodes of which room is kept on one only: smaller stages pass by on the others, and end."""
    chance, ledger = random.Random(0), Ledger(nodes(4, 4, 4), now=clock)
    busy = {f"o{n}": f"s{n}" for n in range(12)}
    for owner, name in busy.items():
        assert ledger.ask("sweep", owner, {name: ONE}) == name
    for step in range(12, 2000):
        if ledger.ask("sweep", "whole", {"w": Need(cpus=4)}) == "w":
            break
        owner = chance.choice(sorted(busy))
        ledger.finish(owner, busy.pop(owner))
        if ledger.ask("sweep", f"o{step}", {f"s{step}": ONE}):
            busy[f"o{step}"] = f"s{step}"
        else:
            ledger.withdraw(f"o{step}")
    assert step < 100


def test_a_stage_passes_the_ledger_in_milliseconds_on_a_hundred_nodes_though_all_drivers_ask_again_whenever_one_ends(clock):
    ledger, begun = Ledger(nodes(*[2] * 100, gpus=1), now=clock), time.process_time()
    kinds = [Need(gpus=1.0), Need(gpus=0.5), ONE, Need(4, 1, 1.0)]
    waiting = {f"o{n}": (f"s{n}", kinds[n % 4]) for n in range(200)}
    busy, stages = {}, 100
    for number in range(200, 200 + stages):
        for owner, (name, need) in list(waiting.items()):
            if ledger.ask("sweep", owner, {name: need}):
                busy[owner] = name
                del waiting[owner]
        owner = next(iter(busy))
        ledger.finish(owner, busy.pop(owner))
        waiting[owner] = (f"s{number}", kinds[number % 4])
    assert (time.process_time() - begun) / stages < 0.02
