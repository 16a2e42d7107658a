"""Documents of guilds as the wire shows them."""

from __future__ import annotations

from collections.abc import Iterable

from services.guilds.standing import Standing
from shared.permissions import (
    MANAGE_CHANNELS,
    VIEW_CHANNEL,
    MemberRights,
    ServerRights,
    channel_rules,
    roles_with_access,
    server_rules,
)
from shared.protocol.account import User
from shared.protocol.category import Category
from shared.protocol.channel import CategoryListing, Channel, ChannelListing, ChannelPlace, Overwrite
from shared.protocol.internal import BareChannel
from shared.protocol.member import Member
from shared.protocol.role import Role
from shared.protocol.server import Me, Server, ServerListing, ServerPreview
from shared.rights import channel_overwrites
from shared.store import Document


def server_preview(server: Document, rev: int) -> ServerPreview:
    """`rev` is the scope's: what to give as `since` for whatever changes after this."""
    return ServerPreview(
        id=server["_id"],
        name=server["name"],
        image=server["image"],
        description=server["description"],
        num_members=server["num_members"],
        created_date=server["created_date"],
        owner_id=server["owner_id"],
        rev=rev,
    )


def server_view(here: Standing, rev: int) -> Server:
    """The server as its member sees it."""
    me = Me(roles=here.held_by(here.member), nick=here.member["nick"], rev=here.member["rev"])
    return Server(**dict(server_preview(here.server, rev)), me=me)


def server_listing(server: Document) -> ServerListing:
    return ServerListing(id=server["_id"], name=server["name"], image=server["image"], rev=server["rev"])


def role_view(role: Document) -> Role:
    return Role(
        id=role["_id"],
        name=role["name"],
        color=role["color"],
        rules=role["rules"],
        position=role["position"],
        rev=role["rev"],
    )


def role_views(roles: Iterable[Document]) -> list[Role]:
    return [role_view(role) for role in sorted(roles, key=_place)]


def category_view(category: Document) -> Category:
    return Category(id=category["_id"], name=category["name"], position=category["position"], rev=category["rev"])


def _place(entity: Document) -> tuple[float, str]:
    """The order of channels, categories and roles."""
    return entity["position"], entity["_id"]


def visible(channels: Iterable[Document], rights: ServerRights, member: MemberRights) -> list[Document]:
    """The channels this member may see, in order."""
    seen = (c for c in channels if VIEW_CHANNEL in channel_rules(rights, member, channel_overwrites(c)))
    return sorted(seen, key=_place)


def visible_categories(
    categories: Iterable[Document], seen: Iterable[Document], rights: ServerRights, member: MemberRights
) -> list[Document]:
    """Those that hold a channel of the seen, in order; who may manage channels sees the empty ones too."""
    holding = {channel["category_id"] for channel in seen}
    every = MANAGE_CHANNELS in server_rules(rights, member)
    return sorted((each for each in categories if every or each["_id"] in holding), key=_place)


def channel_listing(channels: Iterable[Document], categories: Iterable[Document] = ()) -> list[CategoryListing]:
    """The channels under their categories, all in order; those without one stand first, under `id: null`."""
    under: dict[str | None, list[ChannelListing]] = {}
    for channel in channels:
        under.setdefault(channel["category_id"], []).append(ChannelListing(id=channel["_id"], name=channel["name"]))
    listed = [CategoryListing(id=None, name=None, position=None, channels=under.get(None, []))]
    listed += [
        CategoryListing(
            id=each["_id"], name=each["name"], position=each["position"], channels=under.get(each["_id"], [])
        )
        for each in categories
    ]
    return listed


def channel_place(channel: Document) -> ChannelPlace:
    return ChannelPlace(
        id=channel["_id"],
        name=channel["name"],
        category_id=channel["category_id"],
        position=channel["position"],
        rev=channel["rev"],
    )


def member_view(member: Document, user: User, roles: list[str]) -> Member:
    return Member(user=user, roles=roles, nick=member["nick"], joined_date=member["joined_date"], rev=member["rev"])


def bare_channel(channel: Document, last_message_id: int) -> BareChannel:
    return BareChannel(
        id=channel["_id"],
        server_id=channel["server_id"],
        name=channel["name"],
        description=channel["description"],
        category_id=channel["category_id"],
        position=channel["position"],
        roles=[Overwrite(**overwrite) for overwrite in channel["roles"]],
        last_message_id=last_message_id,
        rev=channel["rev"],
    )


def channel_view(channel: Document, rights: ServerRights, last_message_id: int) -> Channel:
    access = roles_with_access(rights, channel_overwrites(channel))
    return Channel(**dict(bare_channel(channel, last_message_id)), roles_with_access=access)
