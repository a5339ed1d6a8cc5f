#!/usr/bin/env python3
"""Measures the library against others and against the limit.

  run.py compare           everything, all libraries; writes docs/benchmarks.md
  run.py check             ours only, what does not depend on load; compares with recorded.json
  run.py record            as check, but writes recorded.json
  run.py show [WORD...]    ours only: the steady rows whose names contain all the words

`make bench` and `make bench-check` call it with what they have built, by the environment: BENCH_BUILD (the drivers),
MGOS_MQTT_LIBRARY (the installed shared library), MGOS_MQTT_LIBRARY_PLAIN (the one without TLS).
"""

import json
import os
import sys
import time

import report
import rows as table
from measure import HERE, Bench, Peer

RECORDED = os.path.join(HERE, "recorded.json")
ALLOWED = 1.03
# Below this a figure is noise of starting and stopping, not cost of a message.
NOISE = {"system calls a message": 0.002, "heap allocations a message": 0.002,
         "window of 20 instead of 1,000, % more instructions": 5}


def progress(done, of, begun, text):
    print(f"[{done}/{of}, {time.monotonic() - begun:.0f} s] {text}", flush=True)


def measure(bench, rows, peers):
    values, begun = {}, time.monotonic()
    for i, row in enumerate(rows, 1):
        got = values.setdefault(row.key, {})
        for peer in peers:
            if peer is peers[0] or (peer.name == "limit" and row.limit) or (peer.name != "limit" and row.peers):
                got[peer.name] = row.measure(bench, peer)
        shown = ", ".join(f"{n} {report.number(v, row.digits)}" for n, v in got.items())
        progress(i, len(rows), begun, f"{row.key}: {shown}")
    return values


def compare(bench, build):
    peers = [Peer("mgos_mqtt", f"{build}/mgos_mqtt"), Peer("limit", f"{build}/raw"),
             Peer("libmosquitto", f"{build}/mosquitto"), Peer("Paho C", f"{build}/paho", slow=True),
             Peer("rumqttc", f"{build}/rumqttc")]
    rows = table.steady_rows() + table.other_rows()
    values = measure(bench, rows, peers)
    timings, begun = [], time.monotonic()
    todo = table.time_rows()
    for i, (name, aim, mode, what, options) in enumerate(todo, 1):
        timings.append((name, aim, table.times(bench, peers, mode, what, options)))
        progress(i, len(todo), begun, name)
    report.write(os.path.join(HERE, "..", "docs"), rows, peers, values, timings)
    print("docs/benchmarks.md is written")
    return True


def check(bench, build, record):
    ours = Peer("mgos_mqtt", f"{build}/mgos_mqtt")
    rows = table.steady_rows()
    values = {key: got[ours.name] for key, got in measure(bench, rows, [ours]).items()}
    if record:
        with open(RECORDED, "w") as f:
            json.dump({k: None if v is None else round(v, 4) for k, v in values.items()}, f, indent=1)
            f.write("\n")
        return True
    with open(RECORDED) as f:
        recorded = json.load(f)
    good = True
    for row in rows:
        now, before = values[row.key], recorded.get(row.key)
        if now is None and before is None:
            continue
        if now is None or before is None or now > before * ALLOWED + NOISE.get(row.group, 0):
            print(f"worse: {row.key}: {report.number(now, row.digits)}, recorded {report.number(before, row.digits)}")
            good = False
        elif now * ALLOWED < before - NOISE.get(row.group, 0):
            print(f"better: {row.key}: {report.number(now, row.digits)}, recorded {report.number(before, row.digits)}")
    print("bench-check: " + ("nothing got worse" if good else "something got worse"))
    return good


def main():
    command, words = (sys.argv[1:2] or ["help"])[0], sys.argv[2:]
    if command not in ("compare", "check", "record", "show"):
        sys.exit(__doc__)
    build = os.path.abspath(os.environ["BENCH_BUILD"])
    bench = Bench(build)
    try:
        if command == "compare":
            good = compare(bench, build)
        elif command == "show":
            chosen = [r for r in table.steady_rows() + table.other_rows() if all(w in r.key for w in words)]
            good = bool(measure(bench, chosen, [Peer("mgos_mqtt", f"{build}/mgos_mqtt")]))
        else:
            good = check(bench, build, command == "record")
    finally:
        bench.close()
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
