"""Admission: a burst may queue, a queue that stands is overload."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

import pytest

from lidloop.web.problems import Problem
from serving.admission import OVERLOAD_SECONDS, Admission


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def run(test: Callable[[Admission, Clock], Awaitable[None]]) -> None:
    async def body() -> None:
        clock = Clock()
        await test(Admission(2, 4, 3, 2, clock=clock), clock)

    asyncio.run(body())


async def fill(gate: Admission, stack: AsyncExitStack, number: int) -> list[asyncio.Task[None]]:
    """So many requests inside, each holding its place until cancelled."""

    async def hold() -> None:
        async with gate.working():
            await asyncio.Event().wait()

    tasks = [asyncio.create_task(hold()) for _ in range(number)]
    await asyncio.sleep(0)
    for task in tasks:
        stack.callback(task.cancel)
    return tasks


def test_a_burst_queues_up_to_its_limit() -> None:
    async def test(gate: Admission, _: Clock) -> None:
        async with AsyncExitStack() as stack:
            await fill(gate, stack, 6)
            assert gate.inside == gate.limit == 6
            with pytest.raises(Problem) as refused:
                gate.check()
            assert refused.value.kind == "busy"
            assert int(refused.value.headers["Retry-After"]) >= 1

    run(test)


def test_a_standing_queue_lowers_the_limit_until_it_is_gone() -> None:
    async def test(gate: Admission, clock: Clock) -> None:
        async with AsyncExitStack() as stack:
            tasks = await fill(gate, stack, 5)
            clock.now += OVERLOAD_SECONDS - 0.1
            assert gate.limit == 6
            clock.now += 0.2
            assert gate.limit == 3  # overloaded
            with pytest.raises(Problem):
                gate.check()
            for task in tasks[:3]:
                task.cancel()
            await asyncio.sleep(0)
            assert gate.inside == 2
            gate.check()  # one more may come in
            clock.now += OVERLOAD_SECONDS / 2
            assert gate.limit == 3  # somebody was refused a moment ago
            clock.now += OVERLOAD_SECONDS
            assert gate.limit == 6

    run(test)


def test_pauses_reset_the_overload_timer() -> None:
    async def test(gate: Admission, clock: Clock) -> None:
        for _ in range(10):
            async with AsyncExitStack() as stack:
                await fill(gate, stack, 6)
                clock.now += OVERLOAD_SECONDS - 0.1
                assert gate.limit == 6
            await asyncio.sleep(0)
            assert gate.inside == 0
            assert gate.limit == 6

    run(test)


def test_bodies_being_received_are_limited() -> None:
    async def test(gate: Admission, _: Clock) -> None:
        async with gate.reading(), gate.reading():
            with pytest.raises(Problem, match="more pictures"):
                async with gate.reading():
                    raise AssertionError("let in")
        async with gate.reading():
            pass

    run(test)


def test_a_slot_is_released_when_work_fails() -> None:
    async def test(gate: Admission, _: Clock) -> None:
        for _ in range(20):
            with pytest.raises(ValueError, match="x"):
                async with gate.working():
                    raise ValueError("x")
        assert gate.inside == 0

    run(test)


def test_a_slot_is_kept_until_the_thread_has_finished() -> None:
    async def test(gate: Admission, _: Clock) -> None:
        work: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        async def ask() -> None:
            async with gate.working() as turn:
                turn.holds(work)
                await asyncio.shield(work)

        task = asyncio.create_task(ask())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert gate.inside == 1
        async with AsyncExitStack() as stack:
            await fill(gate, stack, 1)  # of two places one is left
            waiting = asyncio.create_task(ask())
            await asyncio.sleep(0.01)
            assert (gate.inside, waiting.done()) == (3, False)
            work.set_result(None)
            await asyncio.wait_for(waiting, 5)
            assert gate.inside == 1

    run(test)


def test_a_cancelled_wait_does_not_take_a_slot() -> None:
    changes: list[int] = []

    async def test() -> None:
        gate = Admission(1, 4, 3, 2, on_change=changes.append)
        async with AsyncExitStack() as stack:
            tasks = await fill(gate, stack, 3)
            assert gate.inside == 3
            tasks[1].cancel()
            await asyncio.wait(tasks[1:2])
            assert gate.inside == 2
            tasks[0].cancel()
            await asyncio.wait(tasks[:1])
            await asyncio.sleep(0)
            assert gate.inside == 1
            gate.check()
        await asyncio.wait(tasks)
        assert gate.inside == 0

    asyncio.run(test())
    assert changes == [1, 1, 1, -1, -1, -1]
