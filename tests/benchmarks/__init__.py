"""What hardening costs: ratios to a bare endpoint, taken within one run. Run `python -m tests.benchmarks`.

The work is the hardened POST: 200 bytes of JSON → signed session cookie → limit by principal with headers →
validation → handler → envelope → security headers → request id → one line of JSON in the log. That of the credentials
is a GET that says who is asking, in `whoami`.

The method, which `method` and `wire` carry out:

- Requests are made in process, as ASGI messages: no socket, no HTTP parser, no client. Each one is an asyncio task of
  its own, awaited to its end, as a server does it; so what an app leaves for the event loop is paid by that app.
- A hundred users, each with an address and a session, take turns.
- What counts is the CPU time of the process (all its threads), not the time on the wall; but where somebody waits, for
  Redis or for a password to be hashed, it is that.
- Every candidate has a process to itself, as it would in production: none pays for another's threads, garbage, heap or
  specialised bytecode. The processes take turns, one at work at a time, and every other round in reverse order, so
  that a slow moment of the machine strikes all of them.
- A first round is dropped. Of the others, the minimum is the cost without disturbance, the median the cost with it;
  each is divided by the same figure of the baseline. The harness is inside every number, and has a row of its own.
- Log lines go to `/dev/null`, one write for each.
- Before anything is timed, `equivalence` checks that the candidates do the same work.

Nothing asserts a time: machines differ. What a test can hold on to is the equivalence.
"""
