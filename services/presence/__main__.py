"""Starts the presence service."""

from services.presence.accounts import Accounts
from services.presence.friends import Friends
from services.presence.guesses import Guesses
from services.presence.leases import Leases
from services.presence.passwords import Passwords
from services.presence.profiles import Profiles
from services.presence.sessions import Sessions
from services.presence.settings import Settings
from services.presence.status import Whereabouts
from shared.service import Parts, run_service


def handlers(parts: Parts) -> list[object]:
    settings, sessions = parts.settings, Sessions(parts)
    # Half of the time for a request: what begins as that ends is done when nobody waits for it.
    patience = settings.request_timeout / 2
    passwords = Passwords(settings.password_workers, settings.password_memory, settings.password_passes, patience)
    guesses = Guesses(settings)
    return [
        Accounts(parts, passwords, guesses, sessions),
        sessions,
        Profiles(parts, passwords, guesses, sessions),
        Friends(parts),
        Leases(parts, Whereabouts(parts.store, parts.journal)),
        Settings(parts),
    ]


if __name__ == "__main__":
    run_service("presence", handlers)
