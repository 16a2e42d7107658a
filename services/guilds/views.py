"""Documents of guilds as the wire shows them."""

from __future__ import annotations

from collections.abc import Iterable

from shared.permissions import VIEW_CHANNEL, MemberRights, ServerRights, channel_rules, roles_with_access
from shared.protocol.account import User
from shared.protocol.channel import CategoryListing, Channel, ChannelListing, ChannelPlace, Overwrite
from shared.protocol.server import Me, Member, Role, Server, ServerListing, ServerPreview
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


def server_view(server: Document, member: Document, rev: int) -> Server:
    return Server(**dict(server_preview(server, rev)), me=me(member))


def me(member: Document) -> Me:
    return Me(roles=member["roles"], nick=member["nick"], rev=member["rev"])


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
    return [role_view(role) for role in sorted(roles, key=lambda role: (role["position"], role["_id"]))]


def visible(channels: Iterable[Document], rights: ServerRights, member: MemberRights) -> list[Document]:
    """The channels this member may see, in order."""
    seen = (c for c in channels if VIEW_CHANNEL in channel_rules(rights, member, channel_overwrites(c)))
    return sorted(seen, key=lambda channel: (channel["position"], channel["_id"]))


def channel_listing(channels: Iterable[Document]) -> list[CategoryListing]:
    """Channels without a category stand first, under `id: null`."""
    listed = [ChannelListing(id=channel["_id"], name=channel["name"]) for channel in channels]
    return [CategoryListing(id=None, name=None, position=None, channels=listed)]


def channel_place(channel: Document) -> ChannelPlace:
    return ChannelPlace(
        id=channel["_id"],
        name=channel["name"],
        category_id=channel["category_id"],
        position=channel["position"],
        rev=channel["rev"],
    )


def member_view(member: Document, user: User) -> Member:
    return Member(
        user=user, roles=member["roles"], nick=member["nick"], joined_date=member["joined_date"], rev=member["rev"]
    )


def channel_view(channel: Document, rights: ServerRights, last_message_id: int) -> Channel:
    return Channel(
        id=channel["_id"],
        server_id=channel["server_id"],
        name=channel["name"],
        description=channel["description"],
        category_id=channel["category_id"],
        position=channel["position"],
        roles=[Overwrite(**overwrite) for overwrite in channel["roles"]],
        roles_with_access=roles_with_access(rights, channel_overwrites(channel)),
        last_message_id=last_message_id,
        rev=channel["rev"],
    )
