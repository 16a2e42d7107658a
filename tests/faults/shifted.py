"""Starts a part whose clock can jump while it runs: `python -m tests.faults.shifted <part>`.

The part is the real one; only what Python tells our modules of the time of day is off, by the seconds in the file
`SHIFT`. The monotonic clock does not jump, as it does not when a machine's time of day is set.
"""

from __future__ import annotations

import datetime as dt
import importlib
import os
import runpy
import sys
import time
from pathlib import Path
from typing import Any

_TRUE_TIME, _TRUE_DATETIME = time.time, dt.datetime


def _now() -> float:
    return _TRUE_TIME() + float(Path(os.environ["SHIFT"]).read_text())


class _Shifted:
    """In the place of the class `datetime`, as far as our modules use it once they are imported."""

    def now(self, zone: dt.tzinfo | None = None) -> dt.datetime:
        return _TRUE_DATETIME.fromtimestamp(_now(), zone)

    def __getattr__(self, name: str) -> Any:
        return getattr(_TRUE_DATETIME, name)


def main(part: str) -> None:
    importlib.import_module(f"services.{part}.__main__")
    for name, module in list(sys.modules.items()):
        if name.startswith(("shared", "services")) and getattr(module, "datetime", None) is _TRUE_DATETIME:
            module.datetime = _Shifted()  # type: ignore[attr-defined]
    time.time = _now
    runpy.run_module(f"services.{part}", run_name="__main__")


if __name__ == "__main__":
    main(sys.argv[1])
