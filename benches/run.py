#!/usr/bin/env python3
"""Measures the library against others and against the limit.

  run.py compare            all libraries; writes docs/benchmarks.md
  run.py report             writes docs/benchmarks.md from the figures that are kept
  run.py check              ours only, what does not depend on load; compares with recorded.json
  run.py record             as check, but writes recorded.json
  run.py show               ours only; prints the figures

  --allowed PERCENT         check: so much worse than recorded is no fault (3); of instructions, four a message never are
  --rows REGEX              only rows whose key matches; compare keeps the figures of the others
  --continue                compare: only what has no figure yet, as after an interruption
  --quick                   a tenth of everything, to see whether it works; the report goes to BENCH_BUILD/quick

compare keeps each figure in BENCH_BUILD/results.json when it has it, with a checksum of the programs it belongs to:
those of another build are dropped. The report has what there is.

`make bench` and `make bench-check` call it with what they have built, by the environment: BENCH_BUILD (the drivers),
MGOS_MQTT_LIBRARY_PLAIN (the shared library without TLS; the other one is that of the driver).
"""

import argparse
import json
import os
import re
import signal
import sys
import time

import report
import rows as table
from measure import HERE, Bench, Failed, Peer
from results import Results

RECORDED = os.path.join(HERE, "recorded.json")
# Below this a figure is noise of starting and stopping, not cost of a message.
NOISE = {table.CALLS: 0.002, table.ALLOCATIONS: 0.002, table.WINDOW: 5}
# So many more are no fault, however few a message takes: what the compiler does differently is as much.
FEW_INSTRUCTIONS = dict.fromkeys((table.INSTRUCTIONS, table.TLS, table.FILTERS, table.FLEET), 4)


class Progress:
    def __init__(self, of):
        self.done, self.of, self.begun = 0, of, time.monotonic()

    def step(self, text):
        self.done += 1
        print(f"[{self.done}/{self.of}, {time.monotonic() - self.begun:.0f} s] {text}", flush=True)


def shown(row, value):
    if isinstance(value, Failed):
        return f"({value})"
    return report.number(value[0] if isinstance(value, list) else value, row.digits)


def our_peer(build):
    return Peer("mgos_mqtt", f"{build}/mgos_mqtt", "libmgos_mqtt.", [os.environ["MGOS_MQTT_LIBRARY_PLAIN"]])


def all_peers(build):
    with open(os.path.join(HERE, "drivers/rumqttc/Cargo.toml")) as f:
        rumqttc = re.search(r'^rumqttc = "=(.*)"', f.read(), re.M).group(1)
    return [our_peer(build), Peer("libmosquitto", f"{build}/mosquitto", "libmosquitto."),
            Peer("Paho C", f"{build}/paho", "libpaho-", slow=True),
            Peer("rumqttc", f"{build}/rumqttc", version=rumqttc), Peer("limit", f"{build}/raw", limit=True),
            Peer("bare packets", f"{build}/raw", variant="packets", limit=True)]


def compare(bench, rows, peers, directory, go_on):
    results = Results(os.path.join(directory, "results.json"), peers)
    if results.dropped:
        print(f"{results.dropped} figures are of another build, and dropped")
    chosen = [row for row in rows if not hasattr(row, "rows")]
    if not go_on:
        results.forget(chosen)
    todo = []
    for row in chosen:
        missing = [p for p in row.of(peers) if not results.has(row, p)]
        if missing:
            todo.append((row, row.of(peers) if isinstance(row, table.TimeRow) else missing))
    progress = Progress(len(todo))
    docs = directory if bench.quick else os.path.join(HERE, "..", "docs")
    try:
        for row, who in todo:
            got = row.measure_all(bench, who)
            results.put(row, got)
            progress.step(f"{row.key}: " + ", ".join(f"{n} {shown(row, v)}" for n, v in got.items()))
    finally:
        report.write(docs, table.all_rows(), peers, results)
        print(f"{os.path.relpath(docs)}/benchmarks.md is written")
    return all(results.value(row, peers[0].name) is not None for row in chosen)


def measure_ours(bench, rows, ours):
    progress, values = Progress(len(rows)), {}
    for row in rows:
        values[row.key] = row.measure_all(bench, [ours])[ours.name]
        progress.step(f"{row.key}: {shown(row, values[row.key])}")
    return values


def record(values):
    with open(RECORDED, "w") as f:
        json.dump({k: round(v, 4) for k, v in values.items()}, f, indent=1)
        f.write("\n")


def check(rows, values, percent):
    with open(RECORDED) as f:
        recorded = json.load(f)
    good = True
    for row in rows:
        now, before = values[row.key], recorded.get(row.key)
        text = f"{row.key}: {shown(row, now)}, recorded {report.number(before, row.digits)}"
        if isinstance(now, Failed) or before is None:
            print(f"worse: {text}")
            good = False
            continue
        allowed = NOISE.get(row.group, 0) + max(abs(before) * percent / 100, FEW_INSTRUCTIONS.get(row.group, 0))
        if now > before + allowed:
            print(f"worse: {text}")
            good = False
        elif now < before - allowed:
            print(f"better: {text}")
    print("bench-check: " + ("nothing got worse" if good else "something got worse"))
    return good


def main():
    words = argparse.ArgumentParser(usage=__doc__)
    words.add_argument("command", choices=["compare", "report", "check", "record", "show"])
    words.add_argument("--allowed", type=float, default=3, metavar="PERCENT")
    words.add_argument("--rows", default="", type=re.compile)
    words.add_argument("--continue", action="store_true", dest="go_on")
    words.add_argument("--quick", action="store_true")
    words = words.parse_args()
    build = os.path.abspath(os.environ["BENCH_BUILD"])
    rows = [row for row in table.all_rows() if not words.rows or words.rows.search(row.key)]
    if words.command == "record" and (words.rows or words.quick):
        sys.exit("record: all rows or none")
    if not rows:
        sys.exit("no row matches")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1)) # so that drivers and sink end, too
    bench = Bench(build, words.quick)
    try:
        if words.command in ("compare", "report"):
            directory = os.path.join(build, "quick") if words.quick else build
            os.makedirs(directory, exist_ok=True)
            good = compare(bench, rows if words.command == "compare" else [], all_peers(build), directory, words.go_on)
        else:
            rows = [row for row in rows if row.steady or (words.command == "show" and row.measure)]
            values = measure_ours(bench, rows, our_peer(build))
            good = not any(isinstance(v, Failed) for v in values.values())
            if good and words.command == "record":
                record(values)
            elif words.command == "check":
                good = check(rows, values, words.allowed)
    finally:
        bench.close()
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
