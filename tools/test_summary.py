#!/usr/bin/env python3
"""Count what a ctest run did and print the closing line "N passed, N failed".

A ctest entry is a program. Programs that count their own cases (cmocka, pytest and the end-to-end scripts) print them;
here those inner counts are added up, so that the number means test cases, not programs.
"""

from __future__ import annotations

import argparse
import re
import sys
import xml.etree.ElementTree as ET

CMOCKA = re.compile(r"\[  PASSED  \] (\d+) test")
CMOCKA_FAILED = re.compile(r"\[  FAILED  \] \S*: ?(\d+) test")
CMOCKA_SKIPPED = re.compile(r"\[  SKIPPED \] \S*: ?(\d+) test")
PLAIN = re.compile(r"^(\d+) passed, (\d+) failed(?:, (\d+) skipped)?\s*$", re.M)


def inner_counts(text: str) -> tuple[int, int, int]:
    """Passed, failed and skipped cases that the output of one program reports; zeros if it reports none."""
    plain = PLAIN.findall(text)
    if plain:
        p, f, s = plain[-1]
        return int(p), int(f), int(s or 0)
    passed = sum(int(n) for n in CMOCKA.findall(text))
    failed = sum(int(n) for n in CMOCKA_FAILED.findall(text))
    skipped = sum(int(n) for n in CMOCKA_SKIPPED.findall(text))
    return passed, failed, skipped


def main() -> int:
    """Read the JUnit file and print the summary."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("junit")
    parser.add_argument("--exit-code", type=int, default=0, help="of ctest; not zero is a failure even if none is listed")
    args = parser.parse_args()
    passed = failed = skipped = 0
    for case in ET.parse(args.junit).getroot().iter("testcase"):
        text = case.findtext("system-out") or ""
        p, f, s = inner_counts(text)
        status = case.get("status")
        if status == "run":
            if p + f + s == 0:
                p = 1
        elif status == "fail":
            f = max(f, 1)
            print(f"FAILED {case.get('name')}")
        else:
            s = max(s, 1)
            print(f"skipped {case.get('name')}: {case.get('status')}")
        passed, failed, skipped = passed + p, failed + f, skipped + s
    if args.exit_code and not failed:
        failed = 1
    if passed + failed == 0:
        print("no test ran")
        failed = 1
    print(f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
