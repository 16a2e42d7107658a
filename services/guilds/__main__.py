"""Starts the guilds service."""

from services.guilds.channels import Channels
from services.guilds.interest import Interest
from services.guilds.invites import Invites
from services.guilds.members import Members
from services.guilds.servers import Servers
from shared.service import Parts, run_service


def handlers(parts: Parts) -> list[object]:
    return [Servers(parts), Channels(parts), Members(parts), Invites(parts), Interest(parts)]


if __name__ == "__main__":
    run_service("guilds", handlers)
