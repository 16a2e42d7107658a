"""Which method takes what: every public method with the rule it needs, and whether rank counts, in one table.

From `/docs/protocol/rules.md` and `docs/words.py`, by hand: it shares nothing with the code that decides.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Need(StrEnum):
    """What a method asks of who calls it, where it is no rule."""

    ANYBODY = "anybody"
    """Membership makes no difference."""
    NOT_BANNED = "not banned"
    """Whoever holds an invite, member or not."""
    ACQUAINTED = "acquainted"
    """Who shares a server with the people named; others are told so."""
    MEMBER = "any member"
    OWNER = "owner"
    AUTHOR = "author"
    """Of a message of the owner's."""


class A(StrEnum):
    """What stands for something of the scene in the params of a row: made anew for each call, but for what lasts."""

    SERVER = "<server>"
    SPARE_SERVER = "<another server of the owner's for the owner, the server for all others>"
    HEIR = "<a member of the spare server>"
    OWNER_IS = "<the owner's id>"
    MYSELF = "<who calls>"
    TARGET = "<a member who ranks in the middle>"
    FORMER = "<a user who is no member>"
    OUTLAW = "<a user who is banned>"
    ROLE = "<a role in the middle, without rules>"
    TARGET_ROLE = "<the role of all targets>"
    CATEGORY = "<a category>"
    CHANNEL = "<a channel>"
    MESSAGE = "<a message of the owner's in the channel>"
    OWN_MESSAGE = "<a message of who calls, in the channel>"
    INVITE = "<an invite of the owner's>"
    OWN_INVITE = "<an invite of who calls>"
    NEW_NAME = "<a name that nobody has>"
    NAME = "<the name of who calls>"
    PASSWORD = "<the password of who calls>"
    TOKEN = "<the token of who calls>"
    SESSION = "<another session of who calls>"


class By(StrEnum):
    """Over which connection a row is tried."""

    USUAL = "that of all rows"
    NEWCOMER = "one of somebody new of the same standing, for the call would end it"
    UNKNOWN = "one that has not authenticated"


@dataclass(frozen=True, eq=False)
class Row:
    """`besides` are rules that all members have while the row is tried; `owner` is the owner's outcome."""

    method: str
    needs: str
    params: Mapping[str, Any]
    ranked: bool = False
    besides: tuple[str, ...] = ()
    owner: str = "ok"
    by: By = By.USUAL
    note: str = ""

    @property
    def name(self) -> str:
        return f"{self.method} {self.note}".strip()

    @property
    def in_channel(self) -> bool:
        """Whether overwrites of the channel decide, too."""
        return self.has(A.CHANNEL) and self.needs not in set(Need)

    @property
    def spoils(self) -> bool:
        """Whether the channel serves for one call only."""
        return self.method in {"update_channel", "delete_channel"} or self.has(A.OWN_MESSAGE)

    def has(self, thing: A) -> bool:
        return thing in str(self.params)


RANKED = True
HERE = {"server_id": A.SERVER}
CHANNEL = {"channel_id": A.CHANNEL}
MESSAGE = {**CHANNEL, "message_id": A.MESSAGE}
OWN_MESSAGE = {**CHANNEL, "message_id": A.OWN_MESSAGE}
ROLE, CATEGORY = {**HERE, "role_id": A.ROLE}, {**HERE, "category_id": A.CATEGORY}
TARGET, NAMED = {**HERE, "user_id": A.TARGET}, {"name": "x"}
SPARE = {"server_id": A.SPARE_SERVER}
ALLOWING = [{"role_id": A.TARGET_ROLE, "allow": ["manage_channels"], "deny": []}]
LOGIN = {"name": A.NAME, "password": A.PASSWORD}
TITLED: dict[str, Any] = {**HERE, "name": "x", "color": ""}

OF_NO_SERVER = (
    Row("register", Need.ANYBODY, {"name": A.NEW_NAME, "password": "long enough"}, by=By.UNKNOWN),
    Row("login", Need.ANYBODY, LOGIN, by=By.UNKNOWN),
    Row("authenticate", Need.ANYBODY, {"token": A.TOKEN}, by=By.UNKNOWN),
    Row("resume", Need.ANYBODY, {"scopes": {}}, by=By.NEWCOMER),
    Row("forget", Need.ANYBODY, {"scopes": []}),
    Row("logout", Need.ANYBODY, {}, by=By.NEWCOMER),
    Row("get_sessions", Need.ANYBODY, {}),
    Row("delete_session", Need.ANYBODY, {"session_id": A.SESSION}),
    Row("ping", Need.ANYBODY, {}),
    Row("get_user", Need.ANYBODY, {"user_id": A.OWNER_IS}),
    Row("get_users", Need.ANYBODY, {"users": {}}),
    Row("update_user", Need.ANYBODY, {"changes": {"status": "idle"}}),
    Row("delete_user", Need.ANYBODY, {"password": A.PASSWORD}, owner="conflict", by=By.NEWCOMER),
    Row("get_friends", Need.ANYBODY, {}),
    Row("add_friend", Need.ANYBODY, {"user_id": A.TARGET}, by=By.NEWCOMER),
    Row("update_friend", Need.ANYBODY, {"user_id": A.OUTLAW, "state": "blocked"}, by=By.NEWCOMER),
    Row("delete_friend", Need.ANYBODY, {"user_id": A.FORMER}),
    Row("get_settings", Need.ANYBODY, {}),
    Row("update_settings", Need.ANYBODY, {"settings": {"theme": "dark"}}),
    Row("get_direct_channels", Need.ANYBODY, {}),
    Row("add_direct_channel", Need.ACQUAINTED, {"user_ids": [A.TARGET]}),
    Row("leave_direct_channel", Need.ANYBODY, {"channel_id": "0" * 24}),
    Row("add_server", Need.ANYBODY, NAMED, by=By.NEWCOMER),
    Row("get_servers", Need.ANYBODY, {}),
    Row("get_servers", Need.ANYBODY, {"user_id": A.TARGET}, note="of another"),
    Row("get_read_states", Need.ANYBODY, {}),
)

OF_A_SERVER = (
    Row("get_server", Need.MEMBER, HERE),
    Row("get_server", Need.NOT_BANNED, {"invite": A.INVITE}, note="by invite"),
    Row("join_server", Need.NOT_BANNED, {"invite": A.INVITE}, by=By.NEWCOMER),
    Row("leave_server", Need.ANYBODY, HERE, owner="conflict", by=By.NEWCOMER),
    Row("update_server", "manage_server", {**HERE, "changes": {"description": A.NEW_NAME}}),
    Row("update_server", Need.OWNER, {**SPARE, "changes": {"owner_id": A.HEIR}}, note="owner_id"),
    Row("update_server", Need.OWNER, {**SPARE, "changes": {"owner_id": A.HEIR, "name": "x"}},
        besides=("manage_server",), note="owner_id and name"),
    Row("delete_server", Need.OWNER, SPARE),
    Row("get_read_states", Need.MEMBER, HERE, note="of a server"),
    Row("get_server_channels", Need.MEMBER, HERE),
    Row("get_server_channels", "manage_roles", TARGET, note="of another"),
    Row("get_server_roles", Need.MEMBER, HERE),
    Row("get_server_roles", Need.MEMBER, TARGET, note="of another"),
    Row("get_server_members", Need.MEMBER, {**HERE, "amount": 10}),
    Row("add_invite", "invite_members", HERE),
    Row("get_invites", "manage_server", HERE),
    Row("delete_invite", "manage_server", {**HERE, "code": A.INVITE}),
    Row("delete_invite", Need.MEMBER, {**HERE, "code": A.OWN_INVITE}, besides=("invite_members",), note="one's own"),
    Row("add_ban", "ban_members", TARGET, RANKED),
    Row("add_ban", "ban_members", {**HERE, "user_id": A.FORMER}, note="of no member"),
    Row("delete_ban", "ban_members", {**HERE, "user_id": A.OUTLAW}),
    Row("get_bans", "ban_members", {**HERE, "amount": 10}),
    Row("delete_member", "kick_members", TARGET, RANKED),
    Row("update_member", Need.MEMBER, {**HERE, "user_id": A.MYSELF, "changes": {"nick": A.NEW_NAME}}, note="own nick"),
    Row("update_member", "manage_roles", {**TARGET, "changes": {"nick": A.NEW_NAME}}, RANKED, note="nick"),
    Row("update_member", "manage_roles", {**TARGET, "changes": {"roles": [A.TARGET_ROLE, A.ROLE]}}, RANKED,
        note="give"),
    Row("update_member", "manage_roles", {**TARGET, "changes": {"roles": []}}, RANKED, note="take"),
    Row("add_role", "manage_roles", {**TITLED, "rules": []}),
    Row("add_role", "kick_members", {**TITLED, "rules": ["kick_members"]}, besides=("manage_roles",), note="rule"),
    Row("update_role", "manage_roles", {**ROLE, "changes": {"color": "red"}}, RANKED),
    Row("update_role", "manage_roles", {**ROLE, "changes": {"position": 2}}, RANKED, note="position"),
    Row("update_role", "manage_roles", {**ROLE, "changes": {"rules": ["manage_roles"]}}, RANKED, note="rule"),
    Row("delete_role", "manage_roles", ROLE, RANKED),
    Row("add_category", "manage_channels", {**HERE, **NAMED}),
    Row("update_category", "manage_channels", {**CATEGORY, "changes": NAMED}),
    Row("delete_category", "manage_channels", CATEGORY),
    Row("add_channel", "manage_channels", {**HERE, **NAMED}),
    Row("add_channel", "manage_roles", {**HERE, **NAMED, "roles": ALLOWING}, besides=("manage_channels",),
        note="overwrites"),
)  # fmt: skip

OF_A_CHANNEL = (
    Row("get_server_channel", "view_channel", CHANNEL),
    Row("get_server_members", "view_channel", {**HERE, "amount": 10, "filter": CHANNEL}, note="who see it"),
    Row("update_channel", "manage_channels", {**CHANNEL, "changes": NAMED}),
    Row("update_channel", "manage_roles", {**CHANNEL, "changes": {"roles": ALLOWING}}, besides=("manage_channels",),
        note="overwrites"),
    Row("delete_channel", "manage_channels", CHANNEL),
    Row("get_message_chunk", "view_channel", {**CHANNEL, "amount": 10, "anchor": 0, "direction": False}),
    Row("add_message", "send_messages", {**CHANNEL, "content": "x"}),
    Row("update_message", Need.AUTHOR, {**MESSAGE, "content": "y"}, besides=("manage_messages",)),
    Row("update_message", "view_channel", {**OWN_MESSAGE, "content": "y"}, note="one's own"),
    Row("delete_message", "manage_messages", MESSAGE),
    Row("delete_message", "view_channel", OWN_MESSAGE, note="one's own"),
    Row("add_reaction", "add_reactions", {**MESSAGE, "emoji": "x"}),
    Row("delete_reaction", "view_channel", {**MESSAGE, "emoji": "x"}),
    Row("start_typing", "send_messages", CHANNEL),
    Row("update_read_state", "view_channel", MESSAGE),
)  # fmt: skip

TABLE = (*OF_NO_SERVER, *OF_A_SERVER, *OF_A_CHANNEL)
