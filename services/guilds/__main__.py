"""Starts the guilds service."""

from services.guilds.bans import Bans
from services.guilds.categories import Categories
from services.guilds.channel_lists import ChannelLists
from services.guilds.channels import Channels
from services.guilds.farewell import Farewell
from services.guilds.images import Images
from services.guilds.interest import Interest
from services.guilds.invites import Invites
from services.guilds.member_lists import MemberLists
from services.guilds.members import Members
from services.guilds.reading import Reading
from services.guilds.remains import Remains
from services.guilds.roles import Roles
from services.guilds.servers import Servers
from shared.service import Parts, run_service


def handlers(parts: Parts) -> list[object]:
    return [
        Servers(parts),
        Channels(parts),
        ChannelLists(parts),
        Categories(parts),
        Roles(parts),
        Members(parts),
        MemberLists(parts),
        Invites(parts),
        Bans(parts),
        Images(parts),
        Interest(parts),
        Reading(parts),
        Remains(parts),
        Farewell(parts),
    ]


if __name__ == "__main__":
    run_service("guilds", handlers)
