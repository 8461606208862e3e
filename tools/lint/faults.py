"""Who is tested against failing memory, failing disks and bytes of strangers: a table that cannot rot.

Every function that decodes has to stand in a fuzz target, every one that makes or decodes an object in a test that
fails each allocation, every one that is given a disk in a test that fails each operation; or in a table of
rules_faults.py, under the function through which it is tested or with the reason why it need not be.
"""

from __future__ import annotations

import re

import csource
import rules_faults as rules
from common import ROOT, Result, c_files, files, is_test, relative, text_of

DECODES = re.compile(r"^al_\w+_(decode|parse|load|read|split|unpack|discover)$|^al_(entry|rpc)_(decode|unpack)$")
MAKES = re.compile(r"^al_\w+_(create|open|start)$")
TARGETS = ROOT / "tests/fuzz/CMakeLists.txt"


def prototypes() -> dict[str, tuple[str, str]]:
    """Name -> place and head of every function that a header of the product declares."""
    found = {}
    for path in files("*.h"):
        if is_test(path):
            continue
        source = csource.without_directives(csource.blank(text_of(path)))
        for item in csource.top_level(source):
            name = csource.function_name(item.head)
            if name:
                found[name] = (f"{relative(path)}:{csource.line_of(source, item.start)}", item.head)
    return found


def words(paths: list[str]) -> set[str]:
    """Identifiers of our own in these files."""
    found: set[str] = set()
    for path in paths:
        found.update(re.findall(r"\bal_\w+", csource.blank(text_of(ROOT / path))))
    return found


def fuzz_sources() -> dict[str, str]:
    """Target -> its source."""
    return dict(re.findall(r"^\s*al_fuzz\((\w+)\s+([\w/]+\.c)", text_of(TARGETS), re.M))


def tests_with(helper: str) -> list[str]:
    """Tests that use a helper."""
    return [relative(p) for p in c_files() if is_test(p) and p.suffix == ".c" and helper in text_of(p)]


def compare(kind: str, wanted: dict[str, str], tested: set[str], through: dict[str, str], exempt: dict[str, str], result: Result) -> None:
    """What is wanted but neither tested nor explained, and explanations of what is gone or tested by now."""
    for name, place in sorted(wanted.items()):
        result.checked += 1
        if name in tested or name in exempt:
            continue
        by = through.get(name)
        if by is None:
            result.findings.append(f"{place}: '{name}' has no test of this kind: {kind}")
        elif by not in tested:
            result.findings.append(f"{place}: '{name}' is said to be tested through '{by}', which is not: {kind}")
    for name in sorted({*through, *exempt}):
        if name not in wanted:
            result.findings.append(f"tools/lint/rules_faults.py: '{name}' is explained but does not exist: {kind}")
        elif name in tested:
            result.findings.append(f"tools/lint/rules_faults.py: '{name}' is explained but tested: {kind}")


def targets(result: Result) -> None:
    """Every source has its target, every target inputs to begin with."""
    sources = fuzz_sources()
    for path in c_files():
        name = relative(path)
        if name.endswith("_fuzz.c"):
            result.checked += 1
            if name not in sources.values():
                result.findings.append(f"{name}: no target in tests/fuzz/CMakeLists.txt")
    for target, source in sources.items():
        corpus = ROOT / "tests/fuzz/corpus" / target
        if not (ROOT / source).exists():
            result.findings.append(f"tests/fuzz/CMakeLists.txt: target '{target}': '{source}' does not exist")
        if target not in rules.MAKE_THEIR_OWN and not (corpus.is_dir() and any(corpus.iterdir())):
            result.findings.append(f"tests/fuzz/corpus/{target}: no inputs to begin with")


def check() -> Result:
    """The three tables and the targets."""
    result = Result(0, "functions")
    heads = prototypes()
    fallible = {n: p for n, (p, h) in heads.items() if "al_err" in h or DECODES.match(n)}
    decoders = {n: p for n, p in fallible.items() if DECODES.match(n)}
    makers = {n: p for n, p in fallible.items() if MAKES.match(n) or (DECODES.match(n) and re.search(r"al_arena|al_mem", heads[n][1]))}
    on_disk = {n: heads[n][0] for n in heads if re.search(r"struct al_disk\s*\*", heads[n][1]) and "al_err" in heads[n][1]}
    compare("fuzz", decoders, words(list(fuzz_sources().values())), rules.FUZZED_THROUGH, rules.NOT_FUZZED, result)
    compare("each allocation", makers, words(tests_with("al_fault_mem_init")), rules.MEMORY_THROUGH, rules.MEMORY_NOT, result)
    compare("each operation on files", on_disk, words(tests_with("al_fault_disk_init")), rules.DISK_THROUGH, rules.DISK_NOT, result)
    targets(result)
    result.note = f"{len(decoders)} decoders, {len(makers)} makers, {len(on_disk)} on a disk, {len(fuzz_sources())} fuzz targets"
    return result
