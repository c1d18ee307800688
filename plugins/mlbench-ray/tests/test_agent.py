"""An agent by itself, without a cluster: it keeps nothing of requests that have ended, or that were given up."""

import os

from mlbench_core.executor import inspect_request
from mlbench_core.testing.executors import PLAN
from mlbench_core.trial import Inspection
from mlbench_ray.agent import Agent, Ended, Wanted


def wanted() -> Wanted:
    request = inspect_request(Inspection(framework="numpy", plan=PLAN))
    return Wanted(request=request, python=None, time_limit_s=60.0, phase_limit_s=None, folder="", local="", log="log")


def ended(agent: Agent, number: int) -> Ended:
    while True:
        for told, what in agent.listen([]):
            if told == number and isinstance(what, Ended):
                return what


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_no_descriptor_is_left_of_a_request() -> None:
    """A run has thousands of requests, and a process a thousand descriptors."""
    agent = Agent()
    agent.order([(0, wanted())])
    outcome = ended(agent, 0).outcome
    assert outcome is not None
    assert outcome.status == "ok", outcome.reason
    before = descriptors()
    for number in range(1, 4):
        agent.order([(number, wanted())])
        if number == 3:
            agent.end(number)
        ended(agent, number)
        agent.end(number)  # of what has ended: nothing is left to give up
    assert descriptors() == before
