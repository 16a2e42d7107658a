"""Starts the presence service."""

from services.presence.accounts import Accounts
from services.presence.passwords import Passwords
from services.presence.profiles import Profiles
from services.presence.sessions import Sessions
from shared.service import Parts, run_service


def handlers(parts: Parts) -> list[object]:
    sessions = Sessions(parts)
    return [Accounts(parts, Passwords(parts.settings.password_workers), sessions), sessions, Profiles(parts)]


if __name__ == "__main__":
    run_service("presence", handlers)
