"""An `mlbenchfile.py` with an executor of two places on this machine, whose workers run side by side as on a cluster."""

FILE = """
import os
import threading
from concurrent.futures import Future
from queue import SimpleQueue

from attrs import evolve

from mlbench_core.executor import Outcome, Place
from mlbench_core.executors import local
from mlbench_core.hookspecs import ExecutorDescriptor, hookimpl
from mlbench_core.runner.turns import run_alone


def connect(options):
    return tuple(Place(name, "alike", labels={"name": name}, address="127.0.0.1") for name in ("one", "two"))


def machine():
    return local.machine()


def run(request, setting):
    stop, stopped_by = os.pipe()
    inbox, lock = SimpleQueue(), threading.Lock()
    waiting = [Future()]

    def tell(what):
        inbox.put(what)
        with lock:
            waiting[0].set_result(None)
            waiting[0] = Future()

    def work():
        try:
            tell(run_alone(local.run(request, evolve(setting, stop=stop, on_event=tell))))
        except BaseException as error:
            tell(Outcome(status="failed", reason=repr(error)))

    thread = threading.Thread(target=work)
    thread.start()
    try:
        while True:
            with lock:
                came = waiting[0]
            while not inbox.empty():
                what = inbox.get()
                if isinstance(what, Outcome):
                    return evolve(what, place=setting.place)
                setting.on_event(what)
            yield came
    finally:
        os.write(stopped_by, b"x")
        thread.join()
        os.close(stop)
        os.close(stopped_by)


@hookimpl
def register_executors():
    return [ExecutorDescriptor(name="two", run="mlbenchfile:run", machine="mlbenchfile:machine", connect="mlbenchfile:connect",
                               description="")]
"""
