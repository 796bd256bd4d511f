"""Faults of the pool of processes."""

from fastperf_new.questions import Answers
from tests.faults.fault import Databases, Fault

ANSWERS: Answers = {"process_pool": True}
DATABASES: Databases = ("sqlite",)
FAULTS = [
    Fault(
        "app/process_pool.py",
        "return await asyncio.wrap_future(work)",
        "work.cancel()\n            return await asyncio.to_thread(function, *args, **kwargs)",
        "others_are_answered",
    ),
    Fault(
        "app/process_pool.py",
        "return await asyncio.wrap_future(work)",
        "work.cancel()\n            return function(*args, **kwargs)",
        "others_are_answered",
    ),
    Fault(
        "app/process_pool.py",
        "        warm_up(executor, self.workers)\n",
        "",
        "there_from_the_start",
    ),
    Fault("app/process_pool.py", "await self._replace(executor)", "pass", "is_replaced"),
    Fault("app/process_pool.py", "except BrokenProcessPool", "except KeyError", "is_replaced"),
    Fault("app/process_pool.py", "queue=settings.queue", "queue=500", "told_to_come_back"),
    Fault(
        "app/process_pool.py",
        "work.add_done_callback(lambda _: loop.call_soon_threadsafe(self.gate.leave))",
        "loop.call_soon(self.gate.leave)",
        "taken_until_it_is_done",
    ),
    Fault("app/process_pool.py", "cpus() // self._servers", "cpus()", "number_of_processes"),
    Fault(
        "app/process_work.py", "signal.ITIMER_REAL, seconds", "signal.ITIMER_REAL, 0", "and_stops"
    ),
    Fault(
        "app/process_work.py",
        "signal.ITIMER_REAL, 0)",
        "signal.ITIMER_REAL, seconds)",
        "nothing_to_do",
    ),
    Fault(
        "app/process_work.py",
        "OutOfTimeError(BaseException)",
        "OutOfTimeError(Exception)",
        "and_stops",
    ),
    Fault("app/process_work.py", "service.join()", "return", "leaves_no_process"),
    Fault("app/items/similarity.py", "matcher.ratio()", "-matcher.ratio()", "most_similar"),
]
