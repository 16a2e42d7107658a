"""Starts the presence service."""

from services.presence.accounts import Accounts
from services.presence.passwords import Passwords
from services.presence.profiles import Profiles
from services.presence.sessions import Sessions
from shared.service import Parts, run_service


def handlers(parts: Parts) -> list[object]:
    settings, sessions = parts.settings, Sessions(parts)
    passwords = Passwords(settings.password_workers, settings.password_memory, settings.password_passes)
    return [Accounts(parts, passwords, sessions), sessions, Profiles(parts)]


if __name__ == "__main__":
    run_service("presence", handlers)
