"""The client's types and methods are those of the contracts."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import guildwire

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = Path(guildwire.__file__).parent


def test_what_is_generated_is_current() -> None:
    command = [sys.executable, "clients/python/generate.py", "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_package_stands_by_itself() -> None:
    """It imports the standard library, websockets, and itself."""
    allowed = {*sys.stdlib_module_names, "websockets", "guildwire"}
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [each.name for each in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            assert {name.partition(".")[0] for name in names} <= allowed, path
