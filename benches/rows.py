"""The rows of the comparison: what is measured, and what it should be."""

import os
import subprocess
import tempfile

from measure import median_and_spread, pin

CELLS = [("publish", 0), ("publish", 1), ("publish", 2), ("receive", 0), ("receive", 1), ("receive", 2),
         ("round-trip", 0), ("round-trip", 1)]
SHORT = {"publish": "publish", "receive": "receive", "round-trip": "round trip"}
RUNS = 7  # of everything that is a time


def label(mode, qos):
    return f"{SHORT[mode]} QoS {qos}"


class Row:
    """One figure. `name` identifies it, also in the file of recorded figures."""

    def __init__(self, group, name, must, aim, measure, peers=False, limit=False, steady=True, digits=0):
        self.group, self.name, self.must, self.aim = group, name, must, aim
        self.measure, self.peers, self.limit, self.steady, self.digits = measure, peers, limit, steady, digits

    @property
    def key(self):
        return f"{self.group}: {self.name}"


def counts(peer, mode, qos):
    if peer.slow:  # a hundred thousand instructions a message, or a millisecond's wait for each
        return (20, 60) if mode == "round-trip" else (1500, 3000)
    return (3000, 9000)


def each_cell(group, ask, goals, digits=0):
    rows = []
    for (mode, qos), (must, aim) in zip(CELLS, goals):
        def measure(bench, peer, mode=mode, qos=qos):
            return bench.per_message(getattr(bench, ask), peer, mode, counts(peer, mode, qos), qos=qos)

        rows.append(Row(group, label(mode, qos), must, aim, measure, peers=True, limit=True, digits=digits))
    return rows


def window_rows():
    def measure(bench, peer, mode, qos):
        wide, narrow = (bench.per_message(bench.instructions, peer, mode, (3000, 9000), qos=qos, window=w)
                        for w in (1000, 20))
        return None if wide is None or narrow is None else (narrow / wide - 1) * 100

    return [Row("window of 20 instead of 1,000, % more instructions", label(mode, qos), 5, 2,
                lambda bench, peer, mode=mode, qos=qos: measure(bench, peer, mode, qos), digits=1)
            for mode, qos in (("publish", 1), ("publish", 2), ("receive", 1), ("receive", 2))]


def tls_rows():
    goals = [("publish", 0, 1700, 1200), ("publish", 1, 2200, 1400), ("receive", 0, 2000, 1600), ("receive", 1, 2400, 1800)]
    rows = []
    for mode, qos, must, aim in goals:
        def measure(bench, peer, mode=mode, qos=qos):
            few_many = (1500, 3000) if peer.slow else (5000, 15000)
            return bench.per_message(bench.instructions, peer, mode, few_many, qos=qos, tls=True)

        rows.append(Row("instructions a message, TLS", label(mode, qos), must, aim, measure, peers=True))
    return rows


def dispatch_rows():
    def measure(bench, peer, filters):
        # Subscribing to very many does not cost exactly the same twice; over many messages that does not show.
        few_many = (20_000, 120_000) if filters > 1000 else (3000, 9000)
        return bench.per_message(bench.instructions, peer, "receive", few_many, qos=0, filters=filters)

    return [Row("instructions a received message, by subscribed filters", f"{n:,} filters", None, None,
                lambda bench, peer, n=n: measure(bench, peer, n)) for n in (10, 1000, 100_000)]


def fleet_rows():
    def measure(bench, peer, n):
        few_many = (12000, 24000) if n > 1000 else (3000, 9000)
        return bench.per_message(bench.instructions, peer, "fleet", few_many, connections=n, window=10)

    return [Row("instructions an echoed message, ten at a time", f"{n:,} connections", None, None,
                lambda bench, peer, n=n: measure(bench, peer, n)) for n in (10, 10_000)]


def library_size(bench, peer):
    """The shared library as it is installed, stripped."""
    with tempfile.TemporaryDirectory() as there:
        stripped = os.path.join(there, "stripped.so")
        subprocess.run(["strip", "-o", stripped, os.environ["MGOS_MQTT_LIBRARY"]], check=True)
        return os.path.getsize(stripped)


def plain_size(bench, peer):
    library = os.environ.get("MGOS_MQTT_LIBRARY_PLAIN")
    if not library:
        return None
    with tempfile.TemporaryDirectory() as there:
        stripped = os.path.join(there, "stripped.so")
        subprocess.run(["strip", "-o", stripped, library], check=True)
        return os.path.getsize(stripped)


def other_thread_calls(bench, peer):
    return bench.per_message(bench.system_calls, peer, "other-thread", (100, 300))


def reported(mode, what, repeat=1, **options):
    """A figure that the driver reports itself: the median of some runs."""
    def measure(bench, peer):
        runs = [bench.run(peer, mode, **options) for _ in range(repeat)]
        return median_and_spread([r and r[what] for r in runs])[0]

    return measure


def steady_rows():
    """What does not depend on the machine's load; `make bench-check` looks at these."""
    instructions = [(400, 200), (800, 400), (1200, 700), (300, 160), (450, 250), (800, 450), (1800, 1200), (2300, 1500)]
    calls = [(.05, .006), (.05, .008), (.1, .016), (.02, .004), (.04, .008), (.05, .012), (3, 3), (4, 4)]
    return (
        each_cell("instructions a message", "instructions", instructions)
        + window_rows()
        + each_cell("system calls a message", "system_calls", calls, digits=3)
        + each_cell("heap allocations a message", "allocations", [(0, 0)] * 8, digits=3)
        + tls_rows()
        + dispatch_rows()
        + fleet_rows()
        + [
            Row("size and start", "shared library with TLS, stripped, bytes", 1_600_000, 1_300_000, library_size),
            Row("size and start", "shared library without TLS, stripped, bytes", 450_000, 350_000, plain_size),
            Row("size and start", "instructions from the start of the process to CONNACK", 600_000, 400_000,
                lambda bench, peer: bench.instructions(peer, "connect")),
            Row("threads", "system calls of a publish while the loop's thread sleeps", 1, 1, other_thread_calls, digits=2),
        ])


def other_rows():
    """Times and memory."""
    return [
        Row("connections", "KiB of each of 5,000 idle connections", 1.0, 0.6,
            reported("hold", "kib_per_connection", connections=5000), True, False, False, 2),
        Row("connections", "KiB of each of 1,000 idle connections, TLS", 14, 10,
            reported("hold", "kib_per_connection", connections=1000, tls=True), True, False, False, 2),
        Row("connections", "threads for 5,000 connections", 1, 1,
            reported("hold", "threads", connections=5000), False, False, False),
        Row("connections", "wake-ups of an idle connection in 30 s", 1, 0,
            reported("hold", "waits", connections=1, seconds=30), True, False, False),
    ]


def time_rows():
    """(name, aim, mode, what the driver reports, options): the ratio to the limit, in alternating runs."""
    return [
        ("round trip at QoS 1 with default options", 1.2, "round-trip", "rtt_median_us",
         {"qos": 1, "count": 5000, "defaults": True, "size": 64}),
        ("CPU, publish QoS 0, 4 KiB", 1.4, "publish", "cpu_us", {"qos": 0, "count": 100_000, "size": 4096}),
        ("CPU, publish QoS 0, 64 KiB", 1.1, "publish", "cpu_us", {"qos": 0, "count": 20_000, "size": 65536}),
        ("CPU, publish QoS 0, 256 B", None, "publish", "cpu_us", {"qos": 0, "count": 500_000, "size": 256}),
        ("CPU, receive QoS 0, 256 B", None, "receive", "cpu_us", {"qos": 0, "count": 500_000, "size": 256}),
    ]


def times(bench, peers, mode, what, options):
    """{peer: (median, least, most)} of runs that take turns."""
    runs = {peer.name: [] for peer in peers}
    for _ in range(RUNS):
        for peer in peers:
            fewer = dict(options, count=max(40, options["count"] // 50)) if peer.slow else options
            done = bench.run(peer, mode, under=[] if peer.slow else pin(0), **fewer)
            runs[peer.name].append(done and done[what])
    return {name: median_and_spread(values) for name, values in runs.items()}
