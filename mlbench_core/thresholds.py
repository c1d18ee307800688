"""Every threshold of the instrument, with its default and where that comes from: the one place to look, or to change.

A configuration sets them under the keys `measure`, `extend_until`, `compare` and `limits`. Sources: pyperf (its calibration and
its rule for warm-up), nvbench (its stopping rule), MLPerf LoadGen (percentiles; `stats.percentiles`); *own* marks a choice of
this project, explained in docs/explanation/methodology.md.
"""

from __future__ import annotations

from attrs import frozen


@frozen(kw_only=True)
class Measure:
    """How a trial is timed: counts, and seconds where the name says so.

    One *value* is the time of k steps with one synchronisation at its end, k chosen so that a value takes `value_seconds`.
    """

    warmup_steps: int = 20
    """Least number of steps before anything counts (own)."""
    warmup_seconds: float = 3.0
    """Least time before anything counts (own)."""
    steady_window: int = 20
    """Values in each of the two windows that must be alike before the process counts as steady (pyperf)."""
    steady_limit: int = 300
    """Values after which a process that is not steady is measured all the same and labelled (pyperf); 0: do not look."""
    value_seconds: float = 0.1
    """Least time of one value (pyperf)."""
    min_values: int = 30
    """Values to collect (own)."""
    min_seconds: float = 5.0
    """Time to measure (own)."""
    max_seconds: float = 60.0
    """Time after which measuring ends, whatever is missing (own)."""
    early_deviation: float = 0.005
    """Measuring ends early once the values' standard deviation is below this share of their mean (nvbench) ..."""
    early_seconds: float = 0.5
    """... after at least this time (nvbench) ..."""
    early_values: int = 10
    """... and this many values (nvbench)."""
    turn_seconds: float = 0.5
    """Arms of a cell on a CPU are measured in turns of this length (own): machines that are shared change speed for seconds or
    minutes, and so they change it for all arms alike. 0: each arm in one go."""
    latency_steps: int = 130
    """Training steps synchronised one by one, for the latency of a step; 130 give a 95th percentile (MLPerf)."""
    latency_seconds: float = 5.0
    """Time after which no further step is asked for its latency (own)."""
    queries: int = 1000
    """Queries of the closed loop that measures inference latency; 662 give a 99th percentile (MLPerf)."""


@frozen
class ExtendUntil:
    """Blocks are added until every interval is this narrow; never until a difference is "significant", which finds one in
    21 % of comparisons of a thing with itself."""

    half_width: float = 0.01
    """Of the interval on a ratio of speeds: 0.01 is +-1 % (own)."""
    max_blocks: int = 40
    """Blocks after which a comparison stays as wide as it is (own)."""


@frozen
class Compare:
    """When a difference is called one."""

    delta: float = 0.02
    """The smallest ratio of speeds that matters: 0.02 is 2 % (own)."""
    confidence: float = 0.95
    """Of the interval that is shown."""
    alpha: float = 0.01
    """False alarms allowed per comparison for `faster` and `slower`, after Holm's correction (own: at 0.05, one in twenty
    comparisons of a thing with itself would find a winner as soon as noise exceeds delta;
    docs/explanation/methodology.md has the rates)."""


@frozen(kw_only=True)
class Limits:
    """When a number is doubted. Shares of the median unless the name says otherwise."""

    value_seconds: float = 1e-3
    """A value shorter than this is unstable: the clock and the loop weigh in (pyperf)."""
    spread_warn: float = 0.10
    """Interquartile range over median that warns."""
    spread_unstable: float = 0.25
    """Interquartile range over median that makes a trial unstable."""
    processes_deviation: float = 0.10
    """Standard deviation of the processes' medians over their mean: unstable (pyperf)."""
    processes_extreme: float = 0.50
    """A process's median further than this from the mean: unstable (pyperf)."""
    drift: float = 0.05
    """Change from the first to the last value of a trial, by a robust line through all (own)."""
    bimodal: float = 5.0
    """Distance of two clusters of values over their common standard deviation (own: one normal cluster split in two gives 2.7,
    an even spread 3.5) ..."""
    bimodal_share: float = 0.03
    """... if they are also this far apart."""
    leak: float = 0.05
    """Growth of memory while measuring (own) ..."""
    leak_bytes: float = 16e6
    """... of at least this many bytes."""
    first_step: float = 50.0
    """A first step that costs this many steady ones is worth a note (own)."""
    unsynchronised: float = 0.10
    """Share of a value's time that reading a result back may take after synchronize returned (own)."""
    scaling: float = 1.05
    """Share of linear scaling over several devices above which a number is impossible (a published table reached 269 %)."""
    load: float = 0.25
    """Share of all CPUs busy before the run starts that warns (own)."""
    others_cpu: float = 0.10
    """Share of its CPUs' time that others may take while a worker measures; above, the number is unstable (own)."""
    others_one_cpu: float = 0.25
    """The same as a share of one CPU, where the worker leaves less than that idle: of threads that wait for one another, all
    wait for the one that shares its CPU, however many CPUs there are (own)."""
    not_running: float = 0.10
    """Share of the time in which no thread of a worker on the CPU may be running (own) ..."""
    preempted: float = 20.0
    """... if it was preempted this often a second. Linux takes a CPU away for some 3 ms: 20 times are 6 % of one. A worker that
    only waits, for its own threads or for data, is not preempted (own)."""
    mfu: float = 1.0
    """More than this share of the device's peak is impossible."""
