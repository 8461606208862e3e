#!/usr/bin/env python3
"""kill -9 at random points while clients put, update and delete; after each restart the oracle looks.

kill_test.py BIN_DIR WRITER ROUNDS [SEED]      last line: N passed, N failed

Every acknowledged change must be there. A change that was tried and not acknowledged may or may not be: for each id the state after a
restart must be that of the last acknowledged change, or of one tried after it. After each round `cluster verify` must be green.
"""

from __future__ import annotations

import random
import subprocess
import sys
import time

from server import Server

GONE = "-"


class Oracle:
    """What may be there, by id: the last acknowledged state and the states tried since."""

    def __init__(self) -> None:
        self.known: dict[str, str] = {}
        self.tried: dict[str, list[str]] = {}
        self.acks = 0

    def feed(self, line: str) -> None:
        """Take one line of the writer."""
        words = line.split()
        if len(words) < 3 or words[0] not in ("try", "ack"):
            return
        state = words[3] if words[1] == "put" else GONE
        ident = words[2]
        if words[0] == "try":
            self.tried.setdefault(ident, []).append(state)
            return
        self.acks += 1
        self.known[ident] = state
        tried = self.tried.get(ident, [])
        # acknowledgements of one id come in the order of its changes: all tried before are settled
        if state in tried:
            del tried[: tried.index(state) + 1]

    def check(self, ident: str, state: str) -> str:
        """Empty when the state is allowed, else what is wrong; the state becomes the known one."""
        if not (state == GONE or state.isdigit()):
            return f"{ident}: {state}"
        allowed = [self.known.get(ident, GONE), *self.tried.get(ident, [])]
        self.tried[ident] = []
        self.known[ident] = state
        return "" if state in allowed else f"{ident} is {state}, allowed {allowed[:6]}"


def one_round(server: Server, writer: str, oracle: Oracle, rnd: random.Random, first: int) -> list[str]:
    """Write, kill, start again, look; gives what was wrong."""
    p = subprocess.Popen([writer, "write", server.grpc, server.key, str(rnd.randrange(1 << 30)), str(first)], stdout=subprocess.PIPE, text=True)
    time.sleep(rnd.uniform(0.05, 0.9))
    server.kill()
    out, _ = p.communicate(timeout=120)
    lines = out.splitlines()
    if lines and not out.endswith("\n"):
        lines.pop()  # cut off in the middle
    for line in lines:
        oracle.feed(line)
    wrong = [line for line in lines if line.startswith("fail ")][:3]
    server.start()
    ids = sorted(set(oracle.known) | set(oracle.tried))
    found = subprocess.run([writer, "check", server.grpc, server.key], input="\n".join(ids) + "\n", capture_output=True, text=True, timeout=300)
    states = dict(line.split(" ", 1) for line in found.stdout.splitlines() if " " in line)
    wrong += [w for i in ids if (w := oracle.check(i, states.get(i, "not answered")))]
    rc, docs, err = server.cli("cluster", "verify")
    if rc != 0:
        wrong.append(f"verify: exit {rc} {docs} {err[-300:]}")
    return wrong


def main() -> int:
    """Run the rounds."""
    bin_dir, writer, rounds = sys.argv[1], sys.argv[2], int(sys.argv[3])
    seed = int(sys.argv[4]) if len(sys.argv) > 4 else random.randrange(1 << 30)
    print(f"seed {seed}")
    rnd = random.Random(seed)
    oracle = Oracle()
    server = Server(bin_dir, "shard:\n  seal_rows: 300\n")
    passed = failed = 0
    try:
        server.start()
        for n in range(rounds):
            before = oracle.acks
            wrong = one_round(server, writer, oracle, rnd, (n + 1) * 1_000_000)
            passed += not wrong
            failed += bool(wrong)
            print(f"round {n + 1}: {oracle.acks - before} acknowledged, {len(wrong)} wrong {wrong[:3]}", flush=True)
    finally:
        server.close()
    if oracle.acks == 0:
        print("nothing was ever acknowledged")
        failed += 1
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
