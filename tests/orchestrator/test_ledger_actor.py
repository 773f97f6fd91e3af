"""The ledger as those who ask it see it: whom it keeps waiting, and when it answers."""

import asyncio

import pytest

from orchestrator.execution.cluster_shape import ClusterShape
from orchestrator.execution.ledger_actor import LedgerActor
from orchestrator.execution.resources import Need


@pytest.fixture
def ledger(monkeypatch):
    """Of a cluster with one CPU."""
    monkeypatch.setattr("orchestrator.execution.ledger_actor.current_shape", lambda *limits: ClusterShape(({"CPU": 1.0},)))
    return LedgerActor()


async def asked(ledger, owner, *names):
    return await ledger.ask("sweep", owner, dict.fromkeys(names, Need()))


async def begun(coroutine):
    """A task that has come to its first wait."""
    task = asyncio.create_task(coroutine)
    await asyncio.sleep(0.05)
    return task


def test_whoever_waits_is_given_its_stage_as_soon_as_there_is_room(ledger):
    async def go():
        assert await asked(ledger, "one", "A/1") == "A/1"
        waiting = await begun(asked(ledger, "two", "B/1"))
        await ledger.finish("one", "A/1")
        assert await asyncio.wait_for(waiting, 0.5) == "B/1"

    asyncio.run(go())


def test_whoever_waits_for_a_stage_that_another_computes_is_told_when_it_has_ended(ledger):
    async def go():
        assert await asked(ledger, "one", "A/1") == "A/1"
        waiting = [await begun(asked(ledger, f"waiting-{n}", "A/1")) for n in range(3)]
        await ledger.finish("one", "A/1")
        answers = await asyncio.wait_for(asyncio.gather(*waiting), 0.5)
        assert sorted(answers, key=str) == ["A/1", None, None], "one may look whether it is there, the others look as well"

    asyncio.run(go())


def test_a_thousand_who_wait_are_not_all_answered_whenever_something_else_ends(ledger, monkeypatch):
    monkeypatch.setattr("orchestrator.execution.ledger_actor._PATIENCE_SECONDS", 10.0)

    async def go():
        assert await asked(ledger, "one", "A/1") == "A/1"
        other = await begun(asked(ledger, "other", "B/1"))
        waiting = [asyncio.create_task(asked(ledger, f"waiting-{n}", "C/1")) for n in range(1000)]
        await asyncio.sleep(0.5)
        await ledger.finish("one", "A/1")
        assert await other == "B/1"
        await asyncio.sleep(0.5)
        assert not any(task.done() for task in waiting)
        await ledger.stop("sweep")
        assert await asyncio.wait_for(asyncio.gather(*waiting), 5) == [None] * 1000

    asyncio.run(go())


def test_a_sweep_that_is_being_stopped_is_answered_at_once(ledger):
    async def go():
        await ledger.stop("sweep")
        assert await asyncio.wait_for(asked(ledger, "one", "A/1"), 0.5) is None

    asyncio.run(go())
