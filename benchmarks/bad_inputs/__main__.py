"""Give bad inputs, and print what became of them as JSON: see `benchmarks.bad_inputs`."""

import argparse
import json
import multiprocessing
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from typing import Any

from tqdm import tqdm

from benchmarks.bad_inputs.giving import Tally, tally_quietly
from benchmarks.bad_inputs.kinds import KINDS


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--count", type=int, default=10_000, help="inputs altogether")
    parser.add_argument("--seed", type=int, default=0, help="of the generators")
    parser.add_argument("--kind", choices=list(KINDS), action="append", help="only of this kind; may be repeated")
    parser.add_argument("--json", action="store_true", help="print one document on standard output")
    chosen = parser.parse_args()
    began = time.monotonic()
    kinds = chosen.kind or list(KINDS)
    shares = {kind: KINDS[kind][0] for kind in kinds}
    counts = {kind: max(1, chosen.count * share // sum(shares.values())) for kind, share in shares.items()}
    counts[kinds[0]] += max(0, chosen.count - sum(counts.values()))
    tallies = {}
    for kind, count in tqdm(counts.items(), desc="kinds", file=sys.stderr):
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            tallies[kind] = pool.submit(tally_quietly, kind, count, chosen.seed).result()  # a crash is an exception
    print(json.dumps(_document(tallies, time.monotonic() - began), indent=2, ensure_ascii=True))


def _document(tallies: dict[str, Tally], seconds: float) -> dict[str, Any]:
    failures = sum((each.failures for each in tallies.values()), Counter[str]())
    return {
        "inputs": sum(each.inputs for each in tallies.values()),
        "by_kind": {
            kind: {
                "inputs": each.inputs,
                "usable_and_not_counted": each.usable,
                "failures": dict(each.failures),
                "seconds": round(each.seconds, 1),
                "slowest_seconds": round(each.slowest, 2),
                "most_megabytes_more": round(each.megabytes),
            }
            for kind, each in tallies.items()
        },
        "tracebacks": failures["traceback"],
        "last_resort": failures["last_resort"],
        "hangs": failures["hang"],
        "too_much_memory": failures["memory"],
        "executed": failures["executed"],
        "examples": [example for each in tallies.values() for example in each.examples],
        "seconds": round(seconds, 1),
    }


if __name__ == "__main__":
    main()
