"""Runs the drivers against the sink and measures one thing at a time. See run.py."""

import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
# What a driver does only to let time pass.
PAUSES = {"clock_nanosleep", "nanosleep", "restart_syscall"}


class Peer:
    """A library under measurement: its name and the program that drives it."""

    def __init__(self, name, program, variant="", slow=False):
        self.name, self.program, self.variant, self.slow = name, program, variant, slow


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def make_certificate(directory):
    """A private authority and a server certificate, made anew where there is none."""
    ca = os.path.join(directory, "ca.pem")
    if not os.path.exists(ca):
        key, leaf, request, names = (os.path.join(directory, f) for f in ("ca.key", "server.key", "server.csr", "names"))
        new = ["openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        quiet = {"check": True, "stderr": subprocess.DEVNULL}
        subprocess.run(new + ["-x509", "-days", "3650", "-subj", "/CN=benchmark authority", "-keyout", key, "-out", ca,
                              "-addext", "keyUsage=critical,keyCertSign"], **quiet)
        subprocess.run(new + ["-subj", "/CN=localhost", "-keyout", leaf, "-out", request], **quiet)
        with open(names, "w") as f:
            f.write("subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth\n")
        subprocess.run(["openssl", "x509", "-req", "-in", request, "-CA", ca, "-CAkey", key, "-CAcreateserial", "-days",
                        "3650", "-extfile", names, "-out", os.path.join(directory, "server.pem")], **quiet)
    return ca


class Bench:
    """The sink, and what can be asked about a peer while it runs."""

    def __init__(self, build):
        self.build = build
        self.ca = make_certificate(build)
        self.port, self.tls_port = free_port(), free_port()
        self.sink = subprocess.Popen(
            pin(-1) + [os.path.join(build, "sink"), "--port", str(self.port), "--tls-port", str(self.tls_port),
                       "--certificate", os.path.join(build, "server.pem"), "--key", os.path.join(build, "server.key")],
            stdout=subprocess.PIPE, text=True)
        if self.sink.stdout.readline() != "ready\n":
            sys.exit("the sink does not start")

    def close(self):
        self.sink.terminate()
        self.sink.wait()

    def command(self, peer, mode, tls=False, **options):
        words = ["--port", str(self.tls_port if tls else self.port)]
        if tls:
            words += ["--ca", self.ca, "--host", "localhost"]
        if peer.variant:
            words += ["--variant", peer.variant]
        for name, value in options.items():
            words += ["--" + name.replace("_", "-")] + ([] if value is True else [str(value)])
        return [peer.program] + words + [mode]

    def run(self, peer, mode, under=(), env=None, timeout=120, **options):
        """One run of a driver: what it reports, or None when it failed."""
        command = list(under) + self.command(peer, mode, **options)
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=timeout,
                                  env={**os.environ, **(env or {})}, cwd=tempfile.gettempdir())
        except subprocess.TimeoutExpired:
            print(f"  {peer.name} {mode}: no end after {timeout} s", file=sys.stderr)
            return None
        if done.returncode != 0:
            print(f"  {peer.name} {mode}: {done.stderr.strip()[-200:]}", file=sys.stderr)
            return None
        return json.loads(done.stdout.splitlines()[-1])

    def under_tool(self, tool, read, peer, mode, **options):
        with tempfile.NamedTemporaryFile() as out:
            done = self.run(peer, mode, under=tool(out.name), **options)
            return None if done is None else read(out.name)

    def instructions(self, peer, mode, **options):
        def tool(out):
            return ["valgrind", "-q", "--tool=callgrind", "--callgrind-out-file=" + out]

        def read(out):
            with open(out) as f:
                return int(re.search(r"^(?:totals|summary): (\d+)", f.read(), re.M).group(1))

        return self.under_tool(tool, read, peer, mode, **options)

    def system_calls(self, peer, mode, **options):
        def tool(out):
            return ["strace", "-f", "-c", "-U", "calls,name", "-o", out]

        def read(out):
            with open(out) as f:
                rows = [line.split() for line in f]
            return sum(int(r[0]) for r in rows if len(r) == 2 and r[0].isdigit() and r[1] not in PAUSES | {"total"})

        return self.under_tool(tool, read, peer, mode, **options)

    def allocations(self, peer, mode, **options):
        counter = os.path.join(self.build, "count_allocations.so")
        with tempfile.NamedTemporaryFile("r") as out:
            env = {"LD_PRELOAD": counter, "COUNT_ALLOCATIONS": out.name}
            return None if self.run(peer, mode, env=env, **options) is None else int(out.read())

    def per_message(self, ask, peer, mode, counts, **options):
        """What one more message costs: two runs of unlike length, so that what happens once cancels."""
        few, many = counts
        a, b = ask(peer, mode, count=few, **options), ask(peer, mode, count=many, **options)
        return None if a is None or b is None else (b - a) / (many - few)


def pin(core):
    """The sink on the last core, drivers with one thread on the first."""
    n = os.cpu_count() or 1
    return ["taskset", "-c", str(core % n)] if n > 1 and shutil.which("taskset") else []


def median_and_spread(values):
    values = [v for v in values if v is not None]
    return (statistics.median(values), min(values), max(values)) if values else (None, None, None)
