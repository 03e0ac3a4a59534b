#!/usr/bin/env python3
"""The generated documents are those that the program prints; `script/docs` writes them.

usage: test_docs.py ENTENTE DOCS [TEST]..."""

import subprocess
import sys
import unittest
from pathlib import Path

ENTENTE = sys.argv[1]
DOCS = Path(sys.argv[2])


class Docs(unittest.TestCase):
    def check(self, name, *arguments):
        printed = subprocess.run([ENTENTE, *arguments], capture_output=True, check=True).stdout.decode()
        self.assertTrue(printed == (DOCS / name).read_text(encoding="utf-8"), f"docs/{name} is not up to date: run script/docs")

    def test_docs__kinds(self):
        self.check("kinds.md", "kinds", "--markdown")

    def test_docs__agreement(self):
        self.check("agreement.md", "agreement", "fields", "--markdown")


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]])
