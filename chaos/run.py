"""`python -m chaos.run [--seconds 120] [--clients 50]`: take away everything that the service depends on, one after the
other, while clients ask, and print what they saw. The exit status is 1 if something is wrong."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from chaos.clients import Clients
from chaos.events import happen
from chaos.stack import Stack, stack
from chaos.verdict import Observed, faults, table


async def observe(it: Stack, seconds: float, count: int, pause: float) -> Observed:
    """Let clients ask while the plan happens, until the service has ended."""
    clients = Clients(it.server, count, pause)
    asking = asyncio.create_task(clients.ask_until_refused())
    await asyncio.sleep(2 * pause)
    times = await happen(it, seconds, clients.stop_when_refused)
    await asyncio.wait_for(asking, 120)
    status = await it.ended()
    return Observed(times, clients.samples, await it.stored(), it.in_journal(), status)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=120.0, help="until SIGTERM, at least (120)")
    parser.add_argument("--clients", type=int, default=50, help="that ask at the same time (50)")
    parser.add_argument("--pause", type=float, default=0.4, help="mean seconds between two requests of a client (0.4)")
    parser.add_argument("--log", type=Path, help="where to put what the service wrote")
    asked = parser.parse_args()
    load, started = os.getloadavg()[0], time.monotonic()
    with TemporaryDirectory() as folder, stack(Path(folder)) as it:
        seen = asyncio.run(observe(it, asked.seconds, asked.clients, asked.pause))
        log = it.server.log.read_bytes()
    if asked.log:
        asked.log.write_bytes(log)
    wrong = faults(seen) + (["the service wrote a traceback"] if b"Traceback" in log else [])
    took = f"{time.monotonic() - started:.0f} s in all, load {load:.1f} before and {os.getloadavg()[0]:.1f} after"
    sys.stdout.write("\n".join([table(seen), took, *(f"WRONG: {each}" for each in wrong[:20])]) + "\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
