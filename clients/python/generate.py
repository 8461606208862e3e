#!/usr/bin/env python3
"""Make the message modules of the client from the wire contract: src/airlore/_proto/v1/*_pb2.py and their .pyi files.

They are not kept in the repository; a build of the wheel, the tests and this script make them. The protoc to use is an old
one on purpose (3.21, that of Debian 12): modules made by it load with every protobuf from 4.21 to 7, while those of a newer
protoc refuse older runtimes. A file is only written when its content changed.

Usage: generate.py [--proto FOLDER] [--protoc PROGRAM] [--out FOLDER]
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
FILES = ("common", "knowledge", "admin")
PACKAGE = "airlore._proto.v1"
NEWEST_PROTOC = 21  # 3.21: the last whose modules check no runtime version
INIT = '"""Messages of the wire contract, made by generate.py; not part of the public interface."""\n'


def rewrite_imports(text: str) -> str:
    """The modules import each other as airlore.v1; here they lie in a private package."""
    text = re.sub(r"^from airlore\.v1 import ", f"from {PACKAGE} import ", text, flags=re.M)
    return re.sub(r"^import airlore\.v1\.", f"import {PACKAGE}.", text, flags=re.M)


def check_protoc(protoc: str) -> None:
    """Refuse a protoc whose modules would not load with older runtimes."""
    said = subprocess.run([protoc, "--version"], check=True, capture_output=True, text=True).stdout
    found = re.search(r"(\d+)\.(\d+)", said)
    if not found:
        raise SystemExit(f"generate: '{protoc} --version' says '{said.strip()}'")
    major, minor = int(found[1]), int(found[2])
    if (major, minor) > (3, NEWEST_PROTOC):
        raise SystemExit(f"generate: protoc {major}.{minor} makes modules that need a protobuf as new; use 3.{NEWEST_PROTOC}")


def write_if_changed(path: Path, text: str) -> bool:
    """Write text to path unless it is there already; says whether it wrote."""
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{os.getpid()}")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)
    return True


def generate(proto: Path, out: Path, protoc: str) -> int:
    """Make the modules; gives how many files changed."""
    check_protoc(protoc)
    changed = 0
    with tempfile.TemporaryDirectory() as work:
        sources = [f"airlore/v1/{name}.proto" for name in FILES]
        subprocess.run([protoc, f"-I{proto}", f"--python_out={work}", f"--pyi_out={work}", *sources], check=True)
        made = Path(work) / "airlore" / "v1"
        for path in sorted(made.iterdir()):
            changed += write_if_changed(out / "v1" / path.name, rewrite_imports(path.read_text(encoding="utf-8")))
    for folder in (out, out / "v1"):
        changed += write_if_changed(folder / "__init__.py", INIT)
    return changed


def main() -> int:
    """Read the options and generate."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--proto", type=Path, default=HERE.parent.parent / "proto")
    parser.add_argument("--protoc", default=os.environ.get("PROTOC") or shutil.which("protoc"))
    parser.add_argument("--out", type=Path, default=HERE / "src" / "airlore" / "_proto")
    args = parser.parse_args()
    if not args.protoc:
        raise SystemExit("generate: no protoc found; install protobuf-compiler")
    changed = generate(args.proto, args.out, args.protoc)
    print(f"generate: {args.out} is up to date ({changed} files changed)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
