"""Build hook: the message modules are made from the wire contract before the package is put together."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

HERE = Path(__file__).resolve().parent


class BuildWithMessages(build_py):
    """Makes src/airlore/_proto first; a source archive already holds it and has no contract beside it."""

    def run(self) -> None:
        """Generate, then build as usual."""
        if (HERE.parent.parent / "proto" / "airlore" / "v1").is_dir():
            subprocess.run([sys.executable, str(HERE / "generate.py")], check=True)
            self.distribution.packages = sorted({*(self.distribution.packages or []), "airlore._proto", "airlore._proto.v1"})
            self.packages = self.distribution.packages
            self.__dict__.pop("data_files", None)
        super().run()


setup(cmdclass={"build_py": BuildWithMessages})
