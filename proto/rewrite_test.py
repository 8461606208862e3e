"""Tests protoc_c_rewrite.py and descriptor_diff.py, and that presence on the wire is that of proto3 `optional`.

protoc itself is the reference: for each optional field it encodes an explicit zero with the original and with the rewritten
file; bytes and what they decode to must be the same.

Usage: rewrite_test.py --protoc P --protoc-c P --source DIR --files FILE...
"""

import argparse
import os
import subprocess
import sys
import tempfile
import unittest

import descriptor_diff
import protoc_c_rewrite

HEAD = 'syntax = "proto3";\npackage t;\n'
ARGS = None

# Wire: name of the field's type -> (text of its zero value). Messages are given as {}.
ZERO = {1: "0", 2: "0", 3: "0", 4: "0", 5: "0", 8: "false", 9: '""', 11: "{}", 12: '""', 13: "0"}


def protoc(root, *arguments, data=b""):
    return subprocess.run([ARGS.protoc, f"-I{root}", *arguments], input=data, capture_output=True, check=False)


def describe(root, files):
    with tempfile.NamedTemporaryFile() as out:
        done = protoc(root, "--include_imports", f"--descriptor_set_out={out.name}", *files)
        if done.returncode:
            raise AssertionError(done.stderr.decode())
        return out.read()


class Rewrite(unittest.TestCase):
    def test_table(self):
        cases = [
            ("plain", "optional uint32 k = 3;", "oneof _k { uint32 k = 3; }", 1),
            ("options", "optional double w = 4 [deprecated = true];", "oneof _w { double w = 4 [deprecated = true]; }", 1),
            ("qualified type", "optional a.b.C c = 5;", "oneof _c { a.b.C c = 5; }", 1),
            ("two on a line", "optional int32 a = 1; optional int32 b = 2;",
             "oneof _a { int32 a = 1; } oneof _b { int32 b = 2; }", 2),
            ("over two lines", "optional\n  int32 a = 1;", "oneof _a { int32 a = 1; }\n", 1),
            ("in a comment", "// optional int32 a = 1;", "// optional int32 a = 1;", 0),
            ("in a block comment", "/* optional\n int32 a = 1; */", "/* optional\n int32 a = 1; */", 0),
            ("in a text", 'string a = 1 [json_name = "optional"];', 'string a = 1 [json_name = "optional"];', 0),
            ("part of a word", "string optional_a = 1;", "string optional_a = 1;", 0),
        ]
        for name, before, after, count in cases:
            with self.subTest(name):
                self.assertEqual(protoc_c_rewrite.rewrite(HEAD + before), (HEAD + after, count))

    def test_refusals(self):
        cases = [
            ("unknown form", "optional group G = 1 {}"),
            ("comment inside", "optional /* x */ = 1;"),
            ("no number", "optional int32 a;"),
        ]
        for name, text in cases:
            with self.subTest(name), self.assertRaises(protoc_c_rewrite.RewriteError):
                protoc_c_rewrite.rewrite(HEAD + text)
        with self.assertRaises(protoc_c_rewrite.RewriteError):
            protoc_c_rewrite.rewrite('syntax = "proto2";\nmessage M { optional int32 a = 1; }')


class Difference(unittest.TestCase):
    """The proof must be able to fail."""

    BASE = HEAD + "message M { optional int32 a = 1; string b = 2; }\nservice S { rpc R(M) returns (M); }\n"

    def compare(self, changed):
        with tempfile.TemporaryDirectory() as root:
            sets = []
            for text in (self.BASE, changed):
                with open(os.path.join(root, "t.proto"), "w", encoding="utf-8") as file:
                    file.write(text)
                sets.append(describe(root, ["t.proto"]))
            return descriptor_diff.compare(*sets)

    def test_rewritten_is_equal(self):
        seen = self.compare(protoc_c_rewrite.rewrite(self.BASE)[0])
        self.assertEqual((seen.messages, seen.fields, seen.optional, seen.methods), (1, 2, 1, 1))

    def test_differences_are_found(self):
        good = protoc_c_rewrite.rewrite(self.BASE)[0]
        cases = [
            ("presence lost", "oneof _a { int32 a = 1; }", "int32 a = 1;"),
            ("still optional", "oneof _a { int32 a = 1; }", "optional int32 a = 1;"),
            ("other number", "int32 a = 1", "int32 a = 3"),
            ("other type", "int32 a = 1", "int64 a = 1"),
            ("other name", "string b", "string c"),
            ("other oneof", "oneof _a", "oneof _x"),
            ("message more", "service S", "message N {}\nservice S"),
            ("streaming", "returns (M)", "returns (stream M)"),
        ]
        for name, before, after in cases:
            with self.subTest(name), self.assertRaises(descriptor_diff.DiffError):
                self.assertIn(before, good)
                self.compare(good.replace(before, after))


class Presence(unittest.TestCase):
    def test_explicit_zero_of_every_optional_field(self):
        with tempfile.TemporaryDirectory() as root:
            for name in ARGS.files:
                path = os.path.join(root, name)
                os.makedirs(os.path.dirname(path), exist_ok=True)
                with open(os.path.join(ARGS.source, name), encoding="utf-8") as file:
                    text = protoc_c_rewrite.rewrite(file.read(), name)[0]
                with open(path, "w", encoding="utf-8") as file:
                    file.write(text)
            checked = 0
            for message, field, kind, number, file in self.optional_fields():
                with self.subTest(f"{message}.{field}"):
                    value = f"{field}: {ZERO[kind]}".encode()
                    encoded = [protoc(r, f"--encode={message}", file, data=value) for r in (ARGS.source, root)]
                    self.assertEqual([e.returncode for e in encoded], [0, 0], encoded[0].stderr + encoded[1].stderr)
                    self.assertEqual(encoded[0].stdout, encoded[1].stdout)
                    self.assertEqual([n for n, _ in descriptor_diff.fields_of(encoded[0].stdout)], [number])
                    decoded = [protoc(r, f"--decode={message}", file, data=encoded[0].stdout).stdout for r in (ARGS.source, root)]
                    self.assertEqual(decoded[0], decoded[1])
                    self.assertIn(field.encode(), decoded[0])
                    checked += 1
            self.assertGreater(checked, 20)

    @staticmethod
    def optional_fields():
        """(message, field, type, number, file) of each proto3 optional field in the original files."""
        found = []
        for data in (v for n, v in descriptor_diff.fields_of(describe(ARGS.source, ARGS.files)) if n == 1):
            file = list(descriptor_diff.fields_of(data))
            name = next(v for n, v in file if n == 1).decode()
            package = next(v for n, v in file if n == 2).decode()
            for message in (list(descriptor_diff.fields_of(v)) for n, v in file if n == 4):
                title = f"{package}.{next(v for n, v in message if n == 1).decode()}"
                for field in (dict(descriptor_diff.fields_of(v)) for n, v in message if n == 2):
                    if field.get(17) == 1:
                        found.append((title, field[1].decode(), field[5], field[3], name))
        return found


class Compilers(unittest.TestCase):
    def test_protoc_c_still_refuses_optional(self):
        """When this fails, protoc-c has learned `optional`, and the rewriting can go."""
        with tempfile.TemporaryDirectory() as root:
            with open(os.path.join(root, "t.proto"), "w", encoding="utf-8") as file:
                file.write(Difference.BASE)
            done = subprocess.run(
                [ARGS.protoc_c, f"-I{root}", f"--c_out={root}", "t.proto"], capture_output=True, check=False
            )
            self.assertNotEqual(done.returncode, 0)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--protoc", required=True)
    parser.add_argument("--protoc-c", required=True)
    parser.add_argument("--source", required=True)
    parser.add_argument("--files", nargs="+", required=True)
    ARGS = parser.parse_args()
    unittest.main(argv=sys.argv[:1], verbosity=1)
