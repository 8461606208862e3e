#!/usr/bin/env python3
"""Run the checks of the tree: tools/lint.sh [check...]; without names, all of them.

Each check says how many things it looked at; one that looked at nothing fails, because it would never find anything.
Exit 0 when nothing was found, 1 otherwise, 2 on wrong usage.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

sys.dont_write_bytecode = True

import code_checks  # noqa: E402
import external  # noqa: E402
import faults  # noqa: E402
import lint_test  # noqa: E402
import texts  # noqa: E402
from common import Result  # noqa: E402

# Quick ones first, so that a mistake is seen before the slow ones run.
CHECKS: dict[str, Callable[[], Result]] = {
    "selftest": lint_test.check,
    "layers": code_checks.layers,
    "banned": code_checks.banned,
    "prototypes": code_checks.prototypes,
    "length": code_checks.length,
    "reasons": texts.reasons,
    "errors": texts.errors,
    "faults": faults.check,
    "links": texts.links,
    "self": texts.mentions,
    "format": external.clang_format,
    "shell": external.shellcheck,
    "python": external.ruff,
    "proto": external.buf,
    "tidy": external.clang_tidy,
}
SHOWN = 200


def report(name: str, result: Result, seconds: float) -> bool:
    """Print what a check found; whether all is well."""
    for finding in result.findings[:SHOWN]:
        print(f"  {finding}")
    if len(result.findings) > SHOWN:
        print(f"  and {len(result.findings) - SHOWN} more")
    note = f", {result.note}" if result.note else ""
    ok = not result.findings and result.checked > 0
    verdict = "ok" if ok else "nothing to check" if not result.checked else f"{len(result.findings)} findings"
    print(f"lint: {name:<10} {result.checked:>6} {result.unit}{note}: {verdict} ({seconds:.1f} s)", flush=True)
    return ok


def main() -> int:
    """Run what the command line names."""
    names = sys.argv[1:] or list(CHECKS)
    unknown = [n for n in names if n not in CHECKS]
    if unknown:
        print(f"lint: no check '{unknown[0]}'; there are: {', '.join(CHECKS)}", file=sys.stderr)
        return 2
    failed = []
    for name in names:
        start = time.monotonic()
        result = CHECKS[name]()
        if not report(name, result, time.monotonic() - start):
            failed.append(name)
    if failed:
        print(f"lint: {len(names) - len(failed)} of {len(names)} checks passed; failed: {', '.join(failed)}")
        return 1
    print(f"lint: {len(names)} of {len(names)} checks passed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
