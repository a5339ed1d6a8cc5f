"""The rows of the comparison: what is measured, of whom, and what it should be."""

import os
import subprocess
import tempfile

from measure import Failed

CELLS = [("publish", 0), ("publish", 1), ("publish", 2), ("receive", 0), ("receive", 1), ("receive", 2),
         ("round-trip", 0), ("round-trip", 1)]
SHORT = {"publish": "publish", "receive": "receive", "round-trip": "round trip"}
RUNS, SECONDS = 7, 3  # of everything that is a time: how many, and how long at most

# The groups of rows, in their order; texts.py says how each is measured.
INSTRUCTIONS, CALLS, ALLOCATIONS = "instructions a message", "system calls a message", "heap allocations a message"
TLS, CPU, ROUND_TRIP = "instructions a message, TLS", "CPU time a message, µs", "round trip, µs"
MEMORY, IDLE, SIZE = "memory of an idle connection, KiB", "idle connections", "size and start"
WINDOW = "window of 20 instead of 1,000, % more instructions"
FILTERS = "instructions a received message, by subscribed filters"
FLEET, THREADS = "instructions an echoed message, ten at a time", "threads"
FIVE = "instructions a message, MQTT 5.0"
ORDER = [INSTRUCTIONS, FIVE, CALLS, ALLOCATIONS, TLS, CPU, ROUND_TRIP, MEMORY, IDLE, SIZE, WINDOW, FILTERS, FLEET, THREADS]
PICTURED = [INSTRUCTIONS, CALLS, ALLOCATIONS, TLS, CPU, ROUND_TRIP]


def label(mode, qos):
    return f"{SHORT[mode]} QoS {qos}"


class Row:
    """One figure. Its key identifies it, also in the file of recorded figures.

    who: "ours" always; and "libraries", "limit", "packets" (the limit without encoding or calls).
    steady: it does not depend on the machine's load; `make bench-check` looks at it.
    goals: (target, stretch target), or None where there is none.
    """

    def __init__(self, group, name, goals, measure, who="", steady=True, digits=0):
        self.group, self.name, self.measure, self.who = group, name, measure, who
        self.steady, self.digits = steady, digits
        self.target, self.stretch = goals or (None, None)

    @property
    def key(self):
        return f"{self.group}: {self.name}"

    def of(self, peers):
        """Who is measured; the first one is ours."""
        kinds = {"limit": lambda p: p.limit and not p.variant, "packets": lambda p: p.variant == "packets",
                 "libraries": lambda p: not p.limit}
        return peers[:1] + [p for p in peers[1:] if any(kinds[k](p) for k in self.who.split())]

    def measure_all(self, bench, peers):
        """{name: figure, or Failed}"""
        got = {}
        for peer in peers:
            try:
                got[peer.name] = self.measure(bench, peer)
            except Failed as why:
                got[peer.name] = why
        return got


class TimeRow(Row):
    """A time: all peers take turns, and a figure is [median, least, most]."""

    def __init__(self, group, name, times_limit, mode, what, who, **options):
        super().__init__(group, name, None, None, who, False, 2)
        self.times_limit = times_limit  # the stretch target, as a multiple of the limit

        def measure_all(bench, peers):
            return bench.taking_turns(peers, RUNS, SECONDS, mode, what, **options)

        self.measure_all = measure_all


class Derived(Row):
    """How much more the one row has than the other, in percent."""

    def __init__(self, goals, of, over, name=""):
        super().__init__(of.group, f"{of.name} compared with {name or over.name}, % more", goals, None, of.who, False, 1)
        self.rows = of, over


def counts(peer, mode):
    if peer.slow:
        return (20, 60) if mode == "round-trip" else (1500, 3000)
    return (3000, 9000)


def each_cell(group, tool, goals, digits=0):
    rows = []
    for (mode, qos), goal in zip(CELLS, goals):
        def measure(bench, peer, mode=mode, qos=qos):
            return bench.per_message(getattr(bench, tool), peer, mode, counts(peer, mode), qos=qos)

        who = "libraries limit" if mode == "round-trip" or group == ALLOCATIONS else "libraries limit packets"
        rows.append(Row(group, label(mode, qos), goal, measure, who, digits=digits))
    return rows


def five_rows(rows):
    """Without properties, compared with the same in MQTT 3.1.1; and with a topic alias, compared with none."""
    def measure(bench, peer, mode, qos, **options):
        return bench.per_message(bench.instructions, peer, mode, counts(peer, mode), qos=qos, protocol=5, **options)

    def row(mode, qos, name="", **options):
        return Row(FIVE, label(mode, qos) + name, None,
                   lambda bench, peer: measure(bench, peer, mode, qos, **options))

    old = {row.name: row for row in rows if row.group == INSTRUCTIONS}
    plain = [row(mode, qos) for mode, qos in CELLS[:6]]
    aliased = [row(mode, qos, ", topic alias", aliases=True) for mode, qos in CELLS[:6]]
    more = [Derived((10, 5), new, old[new.name], "in MQTT 3.1.1") for new in plain]
    return plain + aliased + more + [Derived((5, 0), *pair) for pair in zip(aliased, plain)]


def window_rows():
    def measure(bench, peer, mode, qos):
        wide, narrow = (bench.per_message(bench.instructions, peer, mode, (3000, 9000), qos=qos, window=w)
                        for w in (1000, 20))
        return (narrow / wide - 1) * 100

    return [Row(WINDOW, label(mode, qos), (5, 2),
                lambda bench, peer, mode=mode, qos=qos: measure(bench, peer, mode, qos), digits=1)
            for mode, qos in (("publish", 1), ("publish", 2), ("receive", 1), ("receive", 2))]


def tls_rows():
    goals = [("publish", 0, (1700, 1200)), ("publish", 1, (2200, 1400)), ("receive", 0, (2000, 1600)),
             ("receive", 1, (2400, 1800))]
    rows = []
    for mode, qos, goal in goals:
        def measure(bench, peer, mode=mode, qos=qos):
            few_many = (1500, 3000) if peer.slow else (5000, 15000)
            return bench.per_message(bench.instructions, peer, mode, few_many, qos=qos, tls=True)

        rows.append(Row(TLS, label(mode, qos), goal, measure, "libraries limit"))
    return rows


def filter_rows():
    def measure(bench, peer, filters):
        # Subscribing to very many does not cost exactly the same twice; over many messages that does not show.
        few_many = (20_000, 120_000) if filters > 1000 else (3000, 9000)
        return bench.per_message(bench.instructions, peer, "receive", few_many, qos=0, filters=bench.scaled(filters))

    rows = [Row(FILTERS, f"{n:,} filters", None, lambda bench, peer, n=n: measure(bench, peer, n))
            for n in (10, 1000, 100_000)]
    return rows + [Derived((10, 5), row, rows[0]) for row in rows[1:]]


def fleet_rows():
    def measure(bench, peer, n):
        few_many = (12000, 24000) if n > 1000 else (3000, 9000)
        n = bench.scaled(n, 10)
        return bench.per_message(bench.instructions, peer, "fleet", few_many, connections=n, window=10)

    few, many = (Row(FLEET, f"{n:,} connections", None, lambda bench, peer, n=n: measure(bench, peer, n), "limit")
                 for n in (10, 10_000))
    return [few, many, Derived((30, 10), many, few)]


def stripped(library):
    with tempfile.TemporaryDirectory() as there:
        copy = os.path.join(there, "stripped.so")
        subprocess.run(["strip", "-o", copy, library], check=True)
        return os.path.getsize(copy)


def library_size(bench, peer):
    if not peer.files:
        raise Failed("it is no shared library, but a part of the program")
    return sum(map(stripped, peer.files))


def size_with_tls(bench, peer):
    return library_size(bench, peer) + sum(map(stripped, peer.loads("libssl.", "libcrypto.")))


def plain_size(bench, peer):
    return stripped(os.environ["MGOS_MQTT_LIBRARY_PLAIN"])


def other_thread_calls(bench, peer):
    return bench.per_message(bench.system_calls, peer, "other-thread", (100, 300))


def reported(mode, what, less=0, **options):
    """A figure that the driver reports itself."""
    def measure(bench, peer):
        scaled = {k: bench.scaled(v, 1) if k in ("connections", "seconds") else v for k, v in options.items()}
        return bench.run_once(peer, mode, **scaled)[what] - less

    return measure


def all_rows():
    instructions = [(400, 200), (800, 400), (1200, 700), (300, 160), (450, 250), (800, 450), (1800, 1200), (2300, 1500)]
    calls = [(.05, .006), (.05, .008), (.1, .016), (.02, .004), (.04, .008), (.05, .012), (4, 3), (4, 3)]
    everybody = "libraries limit"
    plain = each_cell(INSTRUCTIONS, "instructions", instructions)
    rows = (
        plain
        + five_rows(plain)
        + each_cell(CALLS, "system_calls", calls, digits=3)
        + each_cell(ALLOCATIONS, "allocations", [(0, 0)] * 8, digits=3)
        + tls_rows()
        + [
            TimeRow(CPU, "publish QoS 0, 256 B", None, "publish", "cpu_us", everybody, qos=0, count=500_000, size=256),
            TimeRow(CPU, "publish QoS 0, 4 KiB", 1.4, "publish", "cpu_us", everybody, qos=0, count=100_000, size=4096),
            TimeRow(CPU, "publish QoS 0, 64 KiB", 1.1, "publish", "cpu_us", everybody, qos=0, count=20_000, size=65536),
            TimeRow(CPU, "receive QoS 0, 256 B", None, "receive", "cpu_us", everybody, qos=0, count=500_000, size=256),
            TimeRow(ROUND_TRIP, "QoS 0, default options", None, "round-trip", "median_us", everybody, qos=0, count=5000,
                    defaults=True, times=True, size=64),
            TimeRow(ROUND_TRIP, "QoS 1, default options", 1.2, "round-trip", "median_us", everybody, qos=1, count=5000,
                    defaults=True, times=True, size=64),
            TimeRow(ROUND_TRIP, "QoS 1, TCP_NODELAY", None, "round-trip", "median_us", everybody, qos=1, count=5000,
                    times=True, size=64),
            Row(MEMORY, "5,000 connections", (1.0, 0.6), reported("hold", "kib_per_connection", connections=5000),
                everybody, False, 2),
            Row(MEMORY, "1,000 connections, TLS", (14, 10),
                reported("hold", "kib_per_connection", connections=1000, tls=True), "libraries", False, 2),
            Row(IDLE, "threads for 5,000 connections", (1, 1), reported("hold", "threads", connections=5000),
                everybody, False),
            Row(IDLE, "wake-ups of one connection in 30 s", (1, 0),
                reported("hold", "waits", 1, connections=1, seconds=30), everybody, False),
            Row(SIZE, "shared library with TLS, stripped, bytes", (1_600_000, 1_300_000), library_size, "libraries"),
            Row(SIZE, "the same with the TLS library it loads, bytes", None, size_with_tls, "libraries", False),
            Row(SIZE, "shared library without TLS, stripped, bytes", (450_000, 350_000), plain_size),
            Row(SIZE, "instructions from the start of the process to CONNACK", (600_000, 400_000),
                lambda bench, peer: bench.instructions(peer, "connect"), "libraries"),
        ]
        + window_rows() + filter_rows() + fleet_rows()
        + [
            Row(THREADS, "system calls of a publish while the loop's thread sleeps", (1, 1), other_thread_calls,
                "limit", digits=2),
            TimeRow(THREADS, "time of that publish, µs", 1.1, "other-thread", "median_us", "limit", qos=0, count=500,
                    times=True),
        ])
    return sorted(rows, key=lambda row: ORDER.index(row.group))
