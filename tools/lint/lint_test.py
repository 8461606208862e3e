"""A check that cannot fail is worse than none: each is shown a file with a planted mistake, and one without."""

from __future__ import annotations

import tempfile
from pathlib import Path

import code_checks
import csource
import faults
import texts
from common import Result

GOOD_HEADER = """/* airlore/x.h - an example.
 *
 * Thread: any thread.
 */
#ifndef X_H
#define X_H
#define AL_M(a_) \\
    do { int f(a_); } while (0)
enum e { A, B };
struct s { int (*call)(void *ctx); };
extern const struct s al_table[];

/* Does. */
AL_NODISCARD enum al_code al_do(struct s *s, int a,
                                struct al_err *err);

/* Prints. */
void al_print(const char *fmt, ...) AL_PRINTF(1, 2);
AL_DEFINE_AUTO(al_s);

/* Small. */
static inline int al_small(int a)
{
    return a;
}
#endif
"""
# name -> (check, text of a file, how many findings)
CASES = {
    "a good header": (code_checks.prototypes, GOOD_HEADER, 0),
    "a prototype without words": (code_checks.prototypes, GOOD_HEADER.replace("/* Does. */\n", "\n"), 1),
    "a header without thread rule": (code_checks.prototypes, GOOD_HEADER.replace("Thread:", ""), 1),
    "a blank line between": (code_checks.prototypes, GOOD_HEADER.replace("/* Prints. */\n", "/* Prints. */\n\n"), 1),
    "a family": (code_checks.prototypes, GOOD_HEADER.replace("AL_DEFINE", "void al_b(int a,\n          int b);\nAL_DEFINE"), 0),
    "a family without words": (code_checks.prototypes, GOOD_HEADER.replace("/* Does. */\n", "\nvoid al_b(void);\n"), 2),
    "an inline function without words": (code_checks.prototypes, GOOD_HEADER.replace("/* Small. */\n", "\n"), 1),
    "a banned call": (code_checks.banned, "void f(void)\n{\n    strcpy(a, b);\n}\n", 1),
    "its name in words": (code_checks.banned, '/* strcpy(a, b) */\nconst char *s = "system(x)";\n', 0),
    "a member of that name": (code_checks.banned, "void f(void)\n{\n    p->system(1);\n    al_system(2);\n}\n", 0),
    "goto out": (code_checks.banned, "void f(void)\n{\n    goto out;\nout:\n    return;\n}\n", 0),
    "goto elsewhere": (code_checks.banned, "void f(void)\n{\n    goto again;\n}\n", 1),
    "70 lines": (code_checks.length, "int f(void)\n{\n" + "    g();\n" * 70 + "}\n", 0),
    "71 lines": (code_checks.length, "int f(void)\n{\n" + "    g();\n" * 71 + "}\n", 1),
    "braces in texts": (code_checks.length, "int f(void)\n{\n    g('{', \"{\"); /* { */\n}\nint h(void)\n{\n}\n", 0),
    "801 lines": (code_checks.length, "int f(void)\n{\n}\n" + "\n" * 798, 1),
    "a link to nowhere": (texts.links, "[a](nowhere.md)\n", 1),
    "a heading that is not there": (texts.links, "# Here\n[a](#there) [b](#here)\n", 1),
    "a link in code": (texts.links, "# H\n[h](#h)\n```\n[a](nowhere.md)\n```\n", 0),
    "a note of authorship": (texts.mentions, "Co-authored" "-by: someone\n", 1),
    "a plain text": (texts.mentions, "A database session ends; this works.\n", 0),
}
NAMES = {
    "int main(int argc, char **argv)": "main",
    "static struct al_x *find(struct al_x *x)": "find",
    "enum al_code al_err_set(struct al_err *err, const char *fmt, ...) AL_PRINTF(5, 6)": "al_err_set",
    "__attribute__((noreturn)) void al_assert_fail(const char *cond, const char *site)": "al_assert_fail",
    "void al_on(void (*fn)(void *), void *ctx)": "al_on",
    "typedef int (*handler)(void *)": None,
    "struct al_x": None,
    "AL_DEFINE_AUTO(al_x)": None,
    "int table[] = f(1)": None,
}


WANTED = {"al_a_parse": "a.h:1", "al_b_parse": "b.h:1"}
# name -> tested, tested through, exempt; how many findings
FAULTS = {
    "all tested": ({"al_a_parse", "al_b_parse"}, {}, {}, 0),
    "one not": ({"al_a_parse"}, {}, {}, 1),
    "one through another": ({"al_a_parse", "al_c"}, {"al_b_parse": "al_c"}, {}, 0),
    "the other is not tested": ({"al_a_parse"}, {"al_b_parse": "al_c"}, {}, 1),
    "one explained": ({"al_a_parse"}, {}, {"al_b_parse": "why"}, 0),
    "explained but gone": ({"al_a_parse", "al_b_parse"}, {}, {"al_z_parse": "why"}, 1),
    "explained but tested": ({"al_a_parse", "al_b_parse"}, {}, {"al_b_parse": "why"}, 1),
}


def check() -> Result:
    """Run the cases."""
    result = Result(len(CASES) + len(NAMES) + len(FAULTS), "cases")
    for name, (tested, through, exempt, expected) in FAULTS.items():
        found = Result(0, "")
        faults.compare("a test", WANTED, tested, through, exempt, found)
        if len(found.findings) != expected:
            result.findings.append(f"{name}: {len(found.findings)} findings, expected {expected}: {found.findings}")
    with tempfile.TemporaryDirectory() as folder:
        for name, (function, text, expected) in CASES.items():
            path = Path(folder) / ("x.md" if function in (texts.links, texts.mentions) else "x.h")
            path.write_text(text)
            got = function([path])
            if len(got.findings) != expected:
                result.findings.append(f"{name}: {len(got.findings)} findings, expected {expected}: {got.findings}")
    for head, name in NAMES.items():
        if csource.function_name(head) != name:
            result.findings.append(f"'{head}': read as {csource.function_name(head)}, expected {name}")
    return result
