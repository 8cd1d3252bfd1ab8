"""Argon2id alone, on as many threads as cores: what PIN checks are measured against.

Reads a count from each line of standard input, computes that many hashes and
writes how many it did in a second.
"""

import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from argon2.low_level import Type, hash_secret_raw

from nightlatch.adapters.hashing import OWASP


def _hash(_: int) -> bytes:
    return hash_secret_raw(
        b"271828", bytes(16), OWASP.passes, OWASP.memory, OWASP.lanes, 32, Type.ID
    )


def main() -> None:
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        for line in sys.stdin:
            began = time.perf_counter()
            done = sum(1 for _ in threads.map(_hash, range(int(line))))
            print(done / (time.perf_counter() - began), flush=True)


if __name__ == "__main__":
    main()
