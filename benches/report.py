"""Writes docs/benchmarks.md and its pictures."""

import os
import platform
import textwrap

import plot
import rows as table
import texts
from measure import ask

SMALL = 0.002 # a figure below it is 0


def number(value, digits=0):
    if value is None:
        return "–"
    if digits == 0 or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{0 if abs(value) < 10 ** -digits / 2 else value:,.{digits}f}" # and never "-0"


def goals(row, value, limit):
    """What is said in the columns of targets."""
    if isinstance(row, table.TimeRow):
        if row.times_limit is None:
            return ["", "", ""]
        met = "" if value is None or not limit else "yes" if value <= limit * row.times_limit else "no"
        return ["", f"{row.times_limit} × limit", met]
    if row.target is None:
        return ["", "", ""]
    met = ""
    if value is not None:
        seen = round(value, row.digits) # as it stands in the table
        met = "both" if seen <= row.stretch else "target" if seen <= row.target else "no"
    return [number(row.target, row.digits), number(row.stretch, row.digits), met]


def cell(row, value, limit):
    if isinstance(value, list):
        median, least, most = value
        times = f"**{two(median / limit)} ×** " if limit else ""
        return f"{times}{number(median, 2)} ({number(least, 2)}–{number(most, 2)})"
    return number(value, row.digits)


def lines(head, rows):
    out = ["| " + " | ".join(head) + " |", "| --- |" + " ---: |" * (len(head) - 1)]
    return "\n".join(out + ["| " + " | ".join(row) + " |" for row in rows]) + "\n"


def middle(value):
    return value[0] if isinstance(value, list) else value


def group_text(group, rows, peers, results, plots):
    rows = [r for r in rows if any(results.value(r, p.name) is not None or results.why_not(r, p.name) for p in peers)]
    who = [p for p in peers if any(results.value(r, p.name) is not None for r in rows)]
    shown = [p for p in peers if p in who or any(results.why_not(r, p.name) for r in rows)]
    if not who:
        return ""
    timed = any(isinstance(r, table.TimeRow) for r in rows)
    with_goals = any(r.target is not None or getattr(r, "times_limit", None) for r in rows)
    body, notes = [], []
    for row in rows:
        limit = middle(results.value(row, "limit")) if isinstance(row, table.TimeRow) else None
        ours = middle(results.value(row, peers[0].name))
        cells = [row.name] + [cell(row, results.value(row, p.name), limit) for p in shown]
        body.append(cells + (goals(row, ours, limit) if with_goals else []))
        notes += [f"{p.name}, {row.name}: {why}." for p in shown if (why := results.why_not(row, p.name))]
    how = texts.GROUPS[group] + (" **×**: multiples of the limit." if timed else "")
    out = [f"## {group[0].upper()}{group[1:]}\n", textwrap.fill(how, 120, break_on_hyphens=False) + "\n"]
    if group in table.PICTURED and len(who) > 2:
        file = "".join(c if c.isalnum() else "-" for c in group.lower().replace("µ", "u")).strip("-") + ".svg"
        if plot.dots(os.path.join(plots, file), group, rows, who, lambda r, p: middle(results.value(r, p.name))):
            out.append(f"![{group}](benchmarks/{file})\n")
    out.append(lines([""] + [p.name for p in shown] + (["target", "stretch", "met"] if with_goals else []), body))
    if notes:
        out.append("No figure:\n" + "\n".join("- " + n for n in notes) + "\n")
    return "\n".join(out)


def two(ratio):
    """With two digits, or as many as it has."""
    if ratio < 0.005:
        return "<0.01"
    return f"{ratio:,.{0 if ratio >= 10 else 1 if ratio >= 1.95 else 2}f}"


def multiples(rows, peer, ours, results):
    """How the peer's figures compare with ours, from the best row to the worst."""
    pairs = [(middle(results.value(r, peer)), middle(results.value(r, ours))) for r in rows]
    pairs = [(a, b) for a, b in pairs if a is not None and b is not None]
    if not pairs:
        return "–"
    if all(b < SMALL for _, b in pairs):
        least, most = min(a for a, _ in pairs), max(a for a, _ in pairs)
        return "also 0" if most < SMALL else f"{two(least)}–{two(most)}, ours 0"
    ratios = [a / b for a, b in pairs if b >= SMALL]
    least, most = two(min(ratios)), two(max(ratios))
    return f"{least} ×" if least == most else f"{least}–{most} ×"


def summary(rows, peers, results):
    columns = [(name, [r for r in rows if r.group == group]) for name, group in
               (("instructions", table.INSTRUCTIONS), ("instructions, TLS", table.TLS), ("system calls", table.CALLS),
                ("heap allocations", table.ALLOCATIONS), ("CPU time", table.CPU), ("round trip", table.ROUND_TRIP),
                ("memory of a connection", table.MEMORY))]
    columns = [(name, members) for name, members in columns
               if any(results.value(r, p.name) is not None for r in members for p in peers[1:])]
    body = [[p.name] + [multiples(members, p.name, peers[0].name, results) for _, members in columns]
            for p in peers[1:] if p.variant == ""]
    return lines(["needs, as multiples of ours"] + [name for name, _ in columns], body)


def machine():
    model = "?"
    with open("/proc/cpuinfo") as f:
        for line in f:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    system = "Linux"
    if os.path.exists("/etc/os-release"):
        with open("/etc/os-release") as f:
            system = dict(line.strip().split("=", 1) for line in f if "=" in line).get("PRETTY_NAME", system).strip('"')
    kernel = ".".join(platform.release().split(".")[:2])
    return f"{model}, {os.cpu_count()} processors; {system}, Linux {kernel}, {platform.machine()}"


def write(directory, rows, peers, results):
    """What there is; a row without figures is left out."""
    plots = os.path.join(directory, "benchmarks")
    os.makedirs(plots, exist_ok=True)
    out = [texts.ABOUT, summary(rows, peers, results), texts.AFTER_SUMMARY]
    for group in table.ORDER:
        text = group_text(group, [r for r in rows if r.group == group], peers, results, plots)
        if text:
            out.append(text)
    versions = ", ".join(f"{p.name} {p.version}" for p in peers if not p.limit)
    compilers = ask("rustc", "--version"), ask(os.environ.get("CC", "cc"), "--version")
    others = ask("openssl", "version").split(" (")[0], ask("valgrind", "--version").replace("-", " ", 1)
    measured = f"Measured on: {machine()}; " + ", ".join(compilers) + f"; {versions}; " + ", ".join(others) + "."
    out += [texts.HOW, textwrap.fill(measured, 120, break_on_hyphens=False) + "\n"]
    with open(os.path.join(directory, "benchmarks.md"), "w") as f:
        f.write("\n".join(out))
