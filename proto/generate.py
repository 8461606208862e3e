"""Makes the C side of the contract: protobuf-c sources and the embedded descriptor set.

1. protoc compiles the original files into one descriptor set with all imports.
2. The files are rewritten for protoc-c (protoc_c_rewrite.py) and compiled once more. Both descriptor sets must describe the
   same fields, numbers, types and presence, else the build fails here.
3. protoc-c makes the C code from the rewritten files and from the system's files of google/protobuf that we use.
4. The descriptor set of step 1 becomes a C array.
A file is only written when its content changed, so that a rebuild stays small.

Usage: generate.py --protoc P --protoc-c P --source DIR --out DIR --system FILE... --files FILE...
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import descriptor_diff  # noqa: E402
import protoc_c_rewrite  # noqa: E402


def write_if_changed(path, data):
    try:
        with open(path, "rb") as file:
            if file.read() == data:
                return
    except FileNotFoundError:
        os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(data)


def c_array(data):
    """The C source that holds the descriptor set."""
    lines = ["/* Made by proto/generate.py from the files in proto/; do not edit. */", '#include "airlore/proto_descriptors.h"', ""]
    lines.append("const unsigned char al_proto_descriptor_set[] = {")
    for at in range(0, len(data), 24):
        lines.append("    " + ",".join(str(byte) for byte in data[at : at + 24]) + ",")
    lines += ["};", "", "const size_t al_proto_descriptor_set_size = sizeof(al_proto_descriptor_set);", ""]
    return "\n".join(lines).encode()


def descriptor_set(protoc, root, files, path):
    subprocess.run(
        [protoc, f"-I{root}", "--include_imports", f"--descriptor_set_out={path}", *files], check=True
    )
    with open(path, "rb") as file:
        return file.read()


def generate(args, work):
    rewritten = os.path.join(work, "rewritten")
    count = 0
    for name in args.files:
        with open(os.path.join(args.source, name), encoding="utf-8") as file:
            text, n = protoc_c_rewrite.rewrite(file.read(), name)
        count += n
        write_if_changed(os.path.join(rewritten, name), text.encode())
    original = descriptor_set(args.protoc, args.source, args.files, os.path.join(work, "original.bin"))
    changed = descriptor_set(args.protoc, rewritten, args.files, os.path.join(work, "rewritten.bin"))
    compared = descriptor_diff.compare(original, changed)
    if compared.optional != count:
        raise descriptor_diff.DiffError(f"{count} fields rewritten, but protoc sees {compared.optional} optional ones")

    made = os.path.join(work, "c")
    os.makedirs(made)
    subprocess.run([args.protoc_c, f"-I{rewritten}", f"--c_out={made}", *args.files, *args.system], check=True)
    for name in [*args.files, *args.system]:
        for suffix in (".pb-c.c", ".pb-c.h"):
            path = name.removesuffix(".proto") + suffix
            with open(os.path.join(made, path), "rb") as file:
                write_if_changed(os.path.join(args.out, path), file.read())
    write_if_changed(os.path.join(args.out, "proto_descriptors.c"), c_array(original))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--protoc", required=True)
    parser.add_argument("--protoc-c", required=True)
    parser.add_argument("--source", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--system", nargs="*", default=[])
    parser.add_argument("--files", nargs="+", required=True)
    args = parser.parse_args()
    work = tempfile.mkdtemp(prefix="al-proto-")
    try:
        generate(args, work)
    except (protoc_c_rewrite.RewriteError, descriptor_diff.DiffError) as error:
        print(f"generate.py: {error}", file=sys.stderr)
        return 1
    except subprocess.CalledProcessError as error:
        return error.returncode or 1
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
