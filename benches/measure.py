"""Runs the drivers against the sink and measures one thing at a time. See run.py."""

import hashlib
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


class Failed(Exception):
    """A driver did not do its job. The text is for the reader of the report."""


class Peer:
    """A library under measurement, and the program that drives it.

    library: how the name of its file begins, if it is one of its own. extra: other files that belong to it.
    slow: it takes a hundred thousand instructions for a message, or waits for another thread, and gets fewer of them.
    limit: it is no library, but what one is compared with.
    """

    def __init__(self, name, program, library="", extra=(), variant="", slow=False, limit=False, version=""):
        self.name, self.program, self.variant, self.slow, self.limit = name, program, variant, slow, limit
        self.files = self.loads(library) if library else []
        self.extra = list(extra)
        self.version = version or "".join(file.rpartition(".so.")[2] for file in self.files)

    def loads(self, *names):
        """The shared libraries of these names that the program loads."""
        lines = subprocess.run(["ldd", self.program], capture_output=True, text=True, check=True).stdout.splitlines()
        words = [line.split() for line in lines if "=>" in line]
        return [os.path.realpath(w[2]) for w in words if w[0].startswith(names)]

    def build(self):
        """Changes when the library or its driver does: figures of another build are not kept."""
        seen = hashlib.sha256()
        for file in [self.program, os.path.join(os.path.dirname(self.program), "sink")] + self.files + self.extra:
            with open(file, "rb") as f:
                seen.update(f.read())
        return seen.hexdigest()[:16]


def ask(*command):
    """The first line that a command prints, or a question mark."""
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=20).stdout.strip().split("\n")[0]
    except OSError:
        return "?"


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def make_certificate(directory):
    """A private authority and a server certificate, made anew where there is none."""
    ca = os.path.join(directory, "ca.pem")
    if not os.path.exists(ca):
        files = ("ca.key", "server.key", "server.csr", "names")
        key, leaf, request, names = (os.path.join(directory, f) for f in files)
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
    """The sink, and what can be asked about a peer while it runs.

    With quick, a tenth of everything: to see whether it works, not to look at the figures.
    """

    def __init__(self, build, quick=False):
        self.build, self.quick = build, quick
        self.ca = make_certificate(build)
        self.port, self.tls_port = free_port(), free_port()
        self.reports = {}
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

    def scaled(self, n, least=20):
        return max(least, n // 10) if self.quick else n

    def run(self, peer, mode, under=(), env=None, timeout=120, **options):
        """One run of a driver: what it reports."""
        command = list(under) + self.command(peer, mode, **options)
        # Its own process group: what a tool started ends with the tool.
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=os.setpgrp,
                              env={**os.environ, **(env or {})}, cwd=tempfile.gettempdir()) as running:
            try:
                out, error = running.communicate(timeout=timeout)
            except subprocess.TimeoutExpired:
                os.killpg(running.pid, 9)
                raise Failed(f"did not end within {timeout} s") from None
            except BaseException:
                os.killpg(running.pid, 9)
                raise
        if running.returncode != 0 or not out.strip():
            said = (error.strip().splitlines() or [""])[-1]
            raise Failed(said.removeprefix("Error: ").split(": ", 1)[-1] or f"ended with status {running.returncode}")
        return json.loads(out.splitlines()[-1])

    def run_once(self, peer, mode, **options):
        """As run(), but several rows look at the same run."""
        key = (peer.name, mode, *sorted(options.items()))
        if key not in self.reports:
            try:
                self.reports[key] = self.run(peer, mode, **options)
            except Failed as why:
                self.reports[key] = why
        if isinstance(self.reports[key], Failed):
            raise self.reports[key]
        return self.reports[key]

    def under_tool(self, tool, read, peer, mode, env=None, **options):
        with tempfile.NamedTemporaryFile() as out:
            self.run(peer, mode, under=tool(out.name), env=env, **options)
            return read(out.name)

    def instructions(self, peer, mode, **options):
        def tool(out):
            return ["valgrind", "-q", "--tool=callgrind", "--callgrind-out-file=" + out]

        def read(out):
            with open(out) as f:
                return int(re.search(r"^(?:totals|summary): (\d+)", f.read(), re.M).group(1))

        # Turns of the loop are limited by time. In a round trip none gets that far.
        clock = os.path.join(self.build, "slow_clock.so") if mode in ("publish", "receive") else ""
        return self.under_tool(tool, read, peer, mode, env={"LD_PRELOAD": clock}, **options)

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
            self.run(peer, mode, env={"LD_PRELOAD": counter, "COUNT_ALLOCATIONS": out.name}, **options)
            return int(out.read())

    def per_message(self, tool, peer, mode, counts, **options):
        """What one more message costs: two runs of unlike length, so that what happens once cancels."""
        few, many = (self.scaled(n) for n in counts)
        if few == many:
            many *= 2
        a, b = tool(peer, mode, count=few, **options), tool(peer, mode, count=many, **options)
        return (b - a) / (many - few)

    def taking_turns(self, peers, rounds, seconds, mode, what, **options):
        """[median, least, most] of each peer, in rounds of one run each; or why it has none."""
        runs, count = {peer.name: [] for peer in peers}, {}
        for turn in range(-1, 2 if self.quick else rounds):
            for peer in peers:
                def once(n, peer=peer):
                    under = [] if peer.slow else pin(0)
                    return self.run(peer, mode, under=under, timeout=10 * seconds, **{**options, "count": n})

                try:
                    if isinstance(runs[peer.name], Failed):
                        continue
                    if turn < 0: # how many messages fit into a turn
                        fit = int(seconds * 1e6 / max(once(200 if peer.slow else 40)["wall_us"], 0.01))
                        count[peer.name] = self.scaled(max(40, min(fit, options["count"])))
                    else:
                        runs[peer.name].append(once(count[peer.name])[what])
                except Failed as why:
                    runs[peer.name] = why
        return {name: values if isinstance(values, Failed) else [statistics.median(values), min(values), max(values)]
                for name, values in runs.items()}


def pin(core):
    """The sink on the last core, drivers with one thread on the first."""
    n = os.cpu_count() or 1
    return ["taskset", "-c", str(core % n)] if n > 1 and shutil.which("taskset") else []
