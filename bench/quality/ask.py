#!/usr/bin/env python3
"""Score the answers of `ask`: ask.py ASK_DIR [--gold FILE] [--bin DIR] [--runs DIR] [--show]

ASK_DIR: the corpora made by ask_corpus.py. What is scored:
  FILE                    questions with answer_facts against the corpus `field`
  examples/questions.jsonl  against `examples`: silent, the expected document cited; those without one: refused
  near.jsonl, unanswerable.jsonl  against both: refused

A fact is present when at least 0.6 of its content terms are in the answer: words in lower case, identifiers also split at `_`, `.` and
CamelCase, numbers kept, words of grammar left out, plural and verb endings cut. The rule sees words and not meaning: it takes a
negated fact for the fact, and a fact put in other words for a missing one; it is reproducible, not kind. An answer is called wrong
when it holds no fact at all. "In the corpus" says for how many facts some stretch of 2,000 characters of the corpus would pass the
rule; no way of choosing sentences can do better than that by much. Intervals: bootstrap over the questions, 95 %.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import answerability  # noqa: E402
import score  # noqa: E402

ROOT = HERE.parent.parent
SHARE = 0.6
STRETCH = 2000
GRAMMAR = frozenset(
    "a an and are as at be been but by can did do does for from had has have how if in into is it its may more no not of on or "
    "than that the their then there these they this to was were what when which who will with within would you your only every each "
    "other such also so any all".split())
ENDINGS = ("ations", "ation", "ings", "ing", "ies", "ied", "ers", "ed", "es", "er", "s", "e")
Row = dict[str, Any]


def stem(word: str) -> str:
    """Cut the ending, when at least four letters stay."""
    for ending in ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 4:
            return word[: -len(ending)]
    return word


def terms(text: str) -> set[str]:
    """Content terms."""
    found = set()
    for token in re.findall(r"[A-Za-z0-9_.]+", text):
        for part in re.findall(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+", token):
            word = part.lower()
            if word not in GRAMMAR and (len(word) > 1 or word.isdigit()):
                found.add(stem(word))
    return found


def has(text: set[str], fact: str) -> bool:
    """Whether a fact is present in the terms of a text."""
    want = terms(fact)
    return bool(want) and len(want & text) >= SHARE * len(want)


def reachable(corpus: Path, facts: list[str]) -> dict[str, bool]:
    """For each fact, whether some stretch of the corpus has it."""
    out = dict.fromkeys(facts, False)
    for row in answerability.lines(corpus):
        text = f"{row['title']}\n{row['text']}"
        for start in range(0, len(text), STRETCH // 2):
            have = terms(text[start : start + STRETCH])
            for fact in facts:
                out[fact] = out[fact] or has(have, fact)
    return out


def line(what: str, values: list[float]) -> str:
    """A row of the table."""
    mean, low, high = score.interval(values)
    return f"| {what} | {len(values)} | {mean:.2f} | {low:.2f} to {high:.2f} |"


def gold(args: argparse.Namespace, runs: Path) -> list[str]:
    """Questions with facts."""
    questions = {q["id"]: q for q in answerability.lines(args.gold)}
    corpus = args.ask / "field" / "corpus.jsonl"
    rows = answerability.ask(args.bin / "airlore-quality", runs, "gold", corpus,
                             [{"id": q["id"], "text": q["question"]} for q in questions.values()])
    facts = {f for q in questions.values() for f in q["answer_facts"]}
    there = reachable(corpus, sorted(facts))
    present, of_reachable, wrong, in_corpus = [], [], [], []
    for r in rows:
        want = questions[r["id"]]["answer_facts"]
        have = set() if r["abstained"] else terms(" ".join(r["sentences"]))
        found = [has(have, f) for f in want]
        present.append(sum(found) / len(want))
        in_corpus.append(sum(there[f] for f in want) / len(want))
        wrong.append(float(not r["abstained"] and not any(found)))
        of_reachable += [float(x) for x, f in zip(found, want, strict=True) if there[f]]
        if args.show:
            print(f"# {questions[r['id']]['question']}\n  {'silent' if r['abstained'] else r['answer']}")
            for f, x in zip(want, found, strict=True):
                print(f"  {'+' if x else '-'} {'' if there[f] else '(not in the corpus) '}{f}")
    return [line("facts present, share a question", present), line("facts in the corpus at all", in_corpus),
            line("of the facts in the corpus, present", of_reachable), line("questions answered without any fact", wrong),
            line("questions kept silent on", [float(r["abstained"]) for r in rows])]


def examples(args: argparse.Namespace, runs: Path) -> list[str]:
    """The example questions."""
    questions = answerability.lines(ROOT / "examples" / "questions.jsonl")
    rows = answerability.ask(args.bin / "airlore-quality", runs, "example-questions", args.ask / "examples" / "corpus.jsonl",
                             [{"id": f"e{n:02d}", "text": q["question"]} for n, q in enumerate(questions)])
    pairs = [(q, r) for q, r in zip(questions, rows, strict=True) if q["expect"]]
    cited = [float(q["expect"] in r["sources"]) for q, r in pairs if not r["abstained"]]
    return [line("example questions kept silent on", [float(r["abstained"]) for _, r in pairs]),
            line("answered ones that cite the expected document", cited),
            line("example questions without an answer, refused",
                 [float(r["abstained"]) for q, r in zip(questions, rows, strict=True) if not q["expect"]])]


def refusals(args: argparse.Namespace, runs: Path) -> list[str]:
    """Questions that have no answer; those that weights or threshold were chosen by are told apart from the last third."""
    out = []
    for corpus in ("field", "examples"):
        for kind, file in (("near", "near.jsonl"), ("far", "unanswerable.jsonl")):
            rows = answerability.ask(args.bin / "airlore-quality", runs, f"{kind}-{corpus}", args.ask / corpus / "corpus.jsonl",
                                     answerability.lines(HERE / file))
            out.append(line(f"{kind}, {corpus}: refused, all", [float(r["abstained"]) for r in rows]))
            out.append(line(f"{kind}, {corpus}: refused, last third",
                            [float(r["abstained"]) for r in rows if answerability.third_of(r["id"]) == 2]))
    return out


def main() -> int:
    """Read the options, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ask", type=Path)
    parser.add_argument("--gold", type=Path)
    parser.add_argument("--bin", type=Path, default=ROOT / "build" / "release" / "bin")
    parser.add_argument("--runs", type=Path, help="keep the runs here, and use those that are there")
    parser.add_argument("--show", action="store_true", help="the answers to the questions with facts")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        runs = args.runs or Path(scratch)
        runs.mkdir(parents=True, exist_ok=True)
        table = [*(gold(args, runs) if args.gold else []), *examples(args, runs), *refusals(args, runs)]
    print("| what | cases | share | 95 % |\n| --- | --- | --- | --- |")
    print("\n".join(table))
    return 0


if __name__ == "__main__":
    sys.exit(main())
