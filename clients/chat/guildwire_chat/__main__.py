"""The terminal chat: `python -m guildwire_chat ws://127.0.0.1:8080/ws`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from urllib.parse import urlsplit

from guildwire_chat.app import ChatApp
from guildwire_chat.store import Store, default_home


def main() -> None:
    parser = argparse.ArgumentParser(prog="guildwire-chat", description="Chat in the terminal, on Guildwire.")
    parser.add_argument("urls", help="a gateway's URL, or several with commas between: if one fails, the next is tried")
    parser.add_argument("--profile", default="default", help="keeps several accounts apart (default: %(default)s)")
    parser.add_argument("--home", type=Path, default=default_home(), help="where it keeps them (default: %(default)s)")
    given = parser.parse_args()
    urls = [url.strip() for url in given.urls.split(",") if url.strip()]
    for url in urls:
        if urlsplit(url).scheme not in {"ws", "wss"} or not urlsplit(url).hostname:
            sys.exit(f"error: {url!r} is no gateway's URL; it looks like ws://127.0.0.1:8080/ws")
    if not urls:
        sys.exit("error: no gateway's URL given; it looks like ws://127.0.0.1:8080/ws")
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        sys.exit("error: this needs a terminal")
    ChatApp(urls, Store(given.home, given.profile)).run()


if __name__ == "__main__":
    main()
