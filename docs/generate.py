"""Writes what is made from the code: the protocol for people and for programs, the settings, who may do what on NATS.

`make docs` calls it.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from deploy.nats.permissions import users_conf
from docs import asyncapi, reliability
from docs.reference import reference
from shared import settings

DOCS = Path(__file__).resolve().parent

_MADE = "<!-- Made by `make docs` from the code: changes made here are lost. -->"

SETTINGS_INTRODUCTION = f"""\
{_MADE}

# Settings

What every process reads from its environment, and checks before it opens a socket. `NAME_FILE` may hold the path of a
file with the value instead. Times are in seconds, sizes in bytes, unless it says otherwise. `python -m shared.settings`
prints this table.
"""


def reference_page() -> str:
    return f"{_MADE}\n\n{reference()}"


def settings_page() -> str:
    return f"{SETTINGS_INTRODUCTION}\n{settings.table()}\n"


def reliability_page() -> str:
    return f"{_MADE}\n\n{reliability.page()}"


PAGES = {
    DOCS / "protocol" / "reference.md": reference_page,
    DOCS / "protocol" / "asyncapi.json": asyncapi.text,
    DOCS / "settings.md": settings_page,
    DOCS / "reliability.md": reliability_page,
    DOCS.parent / "deploy" / "nats" / "users.conf": users_conf,
}


def stale_pages() -> Iterable[Path]:
    """The pages that are not as the code has it now."""
    for path, make in PAGES.items():
        if not path.exists() or path.read_text(encoding="utf-8") != make():
            yield path


def main() -> None:
    for path in list(stale_pages()):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(PAGES[path](), encoding="utf-8")


if __name__ == "__main__":
    main()
