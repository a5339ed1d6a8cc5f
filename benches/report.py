"""Writes docs/benchmarks.md and its plots."""

import os
import platform
import subprocess

COLOURS = ["#1b6ca8", "#8a8a8a", "#d98b2b", "#7a4ea3", "#b23b3b"]


def number(value, digits=0):
    if value is None:
        return "–"
    if digits == 0 or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:,.{digits}f}"


def verdict(row, value):
    if value is None or row.must is None:
        return ""
    return "aim" if row.aim is not None and value <= row.aim + 1e-3 else "must" if value <= row.must + 1e-3 else "missed"


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "| --- |" + " ---: |" * (len(head) - 1)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows]) + "\n"


def bars(path, title, labels, series):
    """Horizontal bars in groups, on a scale of powers of ten: [(name, values)]."""
    import math
    values = [v for _, vs in series for v in vs if v]
    low, high = 10 ** math.floor(math.log10(min(values))), 10 ** math.ceil(math.log10(max(values)))
    bar, gap, left, width = 11, 14, 150, 560
    height = 60 + len(labels) * (bar * len(series) + gap) + 20 * len(series)
    x = lambda v: left + (math.log10(v) - math.log10(low)) / (math.log10(high) - math.log10(low)) * (width - 80)
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + width}" height="{height}" font-family="sans-serif" '
           'font-size="11">', '<rect width="100%" height="100%" fill="white"/>',
           f'<text x="10" y="20" font-size="14">{title}</text>']
    bottom = 40 + len(labels) * (bar * len(series) + gap)
    tick = low
    while tick <= high:
        out.append(f'<line x1="{x(tick):.1f}" x2="{x(tick):.1f}" y1="32" y2="{bottom}" stroke="#ddd"/>')
        out.append(f'<text x="{x(tick):.1f}" y="{bottom + 13}" text-anchor="middle" fill="#555">{number(tick, 3 if tick < 1 else 0)}</text>')
        tick *= 10
    y = 40
    for i, name in enumerate(labels):
        out.append(f'<text x="{left - 8}" y="{y + bar * len(series) / 2 + 4}" text-anchor="end">{name}</text>')
        for k, (_, vs) in enumerate(series):
            if vs[i]:
                out.append(f'<rect x="{left}" y="{y}" width="{x(vs[i]) - left:.1f}" height="{bar - 1}" fill="{COLOURS[k]}"/>')
                out.append(f'<text x="{x(vs[i]) + 4:.1f}" y="{y + bar - 2}" font-size="9">{number(vs[i], 3)}</text>')
            y += bar
        y += gap
    for k, (name, _) in enumerate(series):
        out.append(f'<rect x="{left}" y="{bottom + 24 + 18 * k}" width="12" height="12" fill="{COLOURS[k]}"/>')
        out.append(f'<text x="{left + 18}" y="{bottom + 34 + 18 * k}">{name}</text>')
    with open(path, "w") as f:
        f.write("\n".join(out + ["</svg>"]) + "\n")


def versions():
    def ask(*command):
        try:
            return subprocess.run(command, capture_output=True, text=True).stdout.strip().splitlines()[0]
        except (OSError, IndexError):
            return "?"
    model = "?"
    with open("/proc/cpuinfo") as f:
        for line in f:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    return (f"{model}, {os.cpu_count()} cores, {platform.system()} {platform.machine()}; {ask('rustc', '--version')}; "
            f"libmosquitto {ask('pkg-config', '--modversion', 'libmosquitto')}, Paho C 1.3 as packaged, rumqttc 0.25.1; "
            f"{ask('valgrind', '--version')}")


HOW = """
## How it is measured

Everything runs over loopback, against `benches/sink.c`: a server with one thread that answers and forgets, and costs
less than any client here. Each library has a program in `benches/drivers/` that does the same work by the library's
public interface, with real callbacks; ours uses the shared library exactly as `cmake --install` puts it. *limit* is
`drivers/raw.c`: the least that could be called a library, a function that encodes a message into a batch and one
that is called with each received message, with whole batches per system call.

- **publish**: messages of 256 bytes to one topic, at most 1,000 of them not yet written (QoS 0) or acknowledged. It
  ends with the last acknowledgement, at QoS 0 with that of a QoS 1 message behind the others.
- **receive**: the sink sends as fast as the socket takes it; it ends with the last message in its handler.
- **round trip**: one message out, the same message back, then the next one.
- **Instructions** are those in user space, by valgrind's callgrind; **system calls** by `strace -f -c`; **heap
  allocations** by a counter in front of malloc, calloc, realloc and memalign. Each is the difference between two runs of
  3,000 and 9,000 messages, divided by 6,000, so that starting cancels. They do not depend on the machine's load.
- **Filters**: one subscription for each of n topics, a message to one of them in scattered order.
- **Echoed messages over n connections**: ten messages are on their way at any time, each on another connection.
- **Memory** is private memory, from /proc/self/smaps_rollup, before the first and after the last CONNACK.
- **Times** are medians of seven runs, in which the libraries take turns; the spread is given. CPU is the client's own, in user
  space and kernel, by getrusage.
- Paho C waits for its own thread at each message of a round trip, and is measured with fewer messages.

`make bench` measures everything again and rewrites this page; `make bench-check` measures the rows that do not depend on
load, ours only, and fails when one is more than 3 % worse than in `benches/recorded.json`.
"""


def write(directory, rows, peers, values, timings):
    """`values[row.key][peer.name]`; `timings` as rows.time_rows() with results."""
    plots = os.path.join(directory, "benchmarks")
    os.makedirs(plots, exist_ok=True)
    names = [peer.name for peer in peers]
    out = ["# Benchmarks\n\nWritten by `make bench`; not edited by hand. Less is better everywhere. The last column says "
           "which goal of ours is met: *must*, *aim* (the better one), or *missed*.\n"]
    groups = {}
    for row in rows:
        groups.setdefault(row.group, []).append(row)
    for group, members in groups.items():
        compared = [n for n in names if any(values.get(r.key, {}).get(n) is not None for r in members)]
        out.append(f"## {group[0].upper()}{group[1:]}\n")
        body = []
        for r in members:
            got = values.get(r.key, {})
            ours = got.get(names[0])
            body.append([r.name] + [number(got.get(n), r.digits) for n in compared]
                        + [number(r.must, r.digits), number(r.aim, r.digits), verdict(r, ours)])
        out.append(table([""] + compared + ["must", "aim", "met"], body))
        series = [(n, [values.get(r.key, {}).get(n) for r in members]) for n in compared]
        if len(compared) > 2 and any(v for _, vs in series for v in vs):
            file = "".join(c if c.isalnum() else "-" for c in group.lower()).strip("-") + ".svg"
            bars(os.path.join(plots, file), group, [r.name for r in members], series)
            out.append(f"![{group}](benchmarks/{file})\n")
    if timings:
        out.append("## Times, as multiples of the limit\n")
        body = []
        for name, aim, results in timings:
            limit = results["limit"][0]
            cells = []
            for n in names:
                median, least, most = results.get(n, (None,) * 3)
                cells.append("–" if median is None or not limit else
                             f"{median / limit:.2f} ({least / limit:.2f}–{most / limit:.2f})")
            body.append([name] + cells + [number(aim, 1)])
        out.append(table([""] + names + ["aim"], body))
    out.append(HOW)
    out.append(f"\nMeasured on: {versions()}.\n")
    with open(os.path.join(directory, "benchmarks.md"), "w") as f:
        f.write("\n".join(out))
