"""What docs/benchmarks.md says around its tables: at its beginning and end, and how each group of rows is measured."""

import rows as table

ABOUT = """# Benchmarks

Written by `make bench`; not edited by hand. Our library beside libmosquitto, Eclipse Paho C and rumqttc, and beside
**the limit**: the least that could be called a library. Less is better in every table and picture.

## In short
"""

AFTER_SUMMARY = """From the row in which a library comes closest to ours to that in which it is farthest away; below
1, it needs less than ours. The limit encodes each message into a batch, calls a function with each received one, and does
nothing else: no lock, no check, no second connection, no error. *Bare packets*, in some tables, is even less: packets
that are encoded beforehand, and only counted when they are received.

*target* is what the library is to reach, *stretch* what would be better still; *met* says which of them the figure
reaches. [performance.md](performance.md) says what stands between. –: not measured.
"""

GROUPS = {
    table.INSTRUCTIONS:
        "In user space, counted by valgrind's callgrind: the difference between two runs of 3,000 and 9,000 messages, "
        "divided by what the longer one has more, so that starting cancels. While messages stream, the clock runs 64 times "
        "as slowly, as everything does there: what is limited by time does as much as it does at full speed.",
    table.FIVE:
        "As above, with MQTT 5.0: without properties, and with one topic alias. Our driver compares the bytes on the wire "
        "with what they are computed to be.",
    table.CALLS:
        "Counted by `strace -f -c`, without those that only let time pass; as a difference, as above. Where it is less "
        "than one, several messages are read or written at once.",
    table.ALLOCATIONS:
        "Calls of malloc, calloc, realloc and their like, by a counter in front of the C library; as a difference, as "
        "above.",
    table.TLS:
        "As above, with 5,000 and 15,000 messages, by TLS 1.3 with AES-256-GCM; encryption is counted. The limit uses "
        "OpenSSL.",
    table.CPU:
        f"User space and kernel, by getrusage; the median of {table.RUNS} runs in which the libraries take turns, and "
        "the least and the most of them in brackets.",
    table.ROUND_TRIP:
        f"From the publish to the handler of its echo, 64 bytes; the median of each run, and of these in {table.RUNS} "
        "runs as above. With the options that a library has by default, and with TCP_NODELAY where it can be switched "
        "on: without it, a message may wait until what was sent before is acknowledged, for 40 ms.",
    table.MEMORY:
        "Private memory from `/proc/self/smaps_rollup`, before the first connection and after the last CONNACK, "
        "divided by the number of connections.",
    table.IDLE:
        "How often the process slept and was woken, by getrusage, without the sleep that its driver ends with; "
        "keep-alive 60 s. libmosquitto in poll mode wants to be called each second.",
    table.SIZE:
        "A shared library as it is packaged or installed, stripped. The TLS library is what it loads beside the C "
        "library; ours has it inside. Instructions as above, of one run, without TLS; loading OpenSSL is among them.",
    table.WINDOW:
        "How much a message costs when only 20 of them may be unacknowledged, so that fewer are read and written at "
        "once.",
    table.FILTERS:
        "One subscription for each of n topics, and messages to them in scattered order.",
    table.FLEET:
        "Ten messages are on their way at any time, each on another of n connections.",
    table.THREADS:
        "A thread publishes while the one that drives the connection sleeps: system calls, and the time of the call, "
        "which writes the message itself.",
}

HOW = """## How it is measured

Everything runs over loopback, against `benches/sink.c`: a server with one thread that answers and forgets, and costs
less than any client here. Each library has a program in `benches/drivers/` that does the same work by the library's
public interface, with real callbacks; ours uses the shared library exactly as `cmake --install` puts it, libmosquitto
and Paho C are the distribution's packages, and rumqttc is linked into its program with link-time optimisation.

- **publish**: messages of 256 bytes to one topic, at most 1,000 of them not yet written (QoS 0) or acknowledged. It
  ends with the last acknowledgement, at QoS 0 with that of a QoS 1 message behind the others.
- **receive**: the sink sends as fast as the socket takes it, at most 1,000 unacknowledged; it ends with the last
  message in its handler.
- **round trip**: one message out, the same message back, then the next one.
- Instructions, system calls and allocations hardly depend on what else the machine does; times do. So the libraries
  take turns, and what counts is the multiple of the limit. The sink has the last processor, and drivers with one
  thread the first.
- TCP_NODELAY is on where a library can switch it on, unless it says that options are as the library has them.
- Paho C takes a hundred thousand instructions for a message, and is measured with fewer of them. A run of a time has
  as many messages as fit into about three seconds.

`make bench` measures everything again and rewrites this page, and with `BENCH_ARGS=--continue` goes on after an
interruption; `make bench-check` measures the rows that do not depend on load, ours only, and fails when one is more
than 3 % worse than in `benches/recorded.json`.
"""
