"""Runs the cases of the Autobahn test suite against an echo server, alone and through gateways.

autobahn.py ALONE NAME=URL...: prints `NAME passed failed skipped` for each gateway.
A case fails where the gateway's verdict is worse than the echo server's own, and is skipped where the server fails too.
"""

import asyncio
import os
import sys

from kosoku import FailureError, run_fuzzingclient

# A gateway relays compressed messages as any others, so a part of 12 and 13, which take long, is enough: all forms
# of messages, and all parameters of the extension.
CASES = [*(f"{group}.*" for group in (1, 2, 3, 4, 5, 6, 7, 9, 10)), "12.1.*", "13.*.5"]


async def verdicts(url):
    try:
        results = await run_fuzzingclient(url, CASES, concurrency=2)
    except FailureError as failure:
        results = failure.results
    return {result.case_id: result for result in results}


def verdict(result):
    return f"{result.behavior.value}, closed {result.behavior_close.value}"


async def main(alone, *gateways):
    expected = await verdicts(alone)
    for gateway in gateways:
        name, url = gateway.split("=", 1)
        counts = {"passed": 0, "failed": 0, "skipped": 0}
        got = await verdicts(url)
        for case, result in expected.items():
            through = got.get(case)
            if through is not None and (through.passed or not result.passed):
                counts["passed" if through.passed else "skipped"] += 1
                continue
            counts["failed"] += 1
            seen = "nothing" if through is None else f"{verdict(through)}: {through.result} {through.result_close}"
            print(f"{name}: case {case}: {verdict(result)} alone, {seen}", file=sys.stderr)
        print(name, *counts.values(), flush=True)


asyncio.run(main(*sys.argv[1:]))
# The threads of this version of kosoku may abort the process when the interpreter ends.
os._exit(0)
