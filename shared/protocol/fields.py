"""The kinds of field that several contracts share, with their limits."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import Field, PlainSerializer, StringConstraints, WithJsonSchema

_NO_CONTROL = r"^[^\x00-\x1f\x7f]*$"

Id = Annotated[str, StringConstraints(min_length=1, max_length=64)]
"""An opaque id. Any text may be asked for: what is no id simply does not exist."""

Title = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=_NO_CONTROL)]
Description = Annotated[str, StringConstraints(max_length=1000, pattern=r"^[^\x00-\x08\x0b-\x1f\x7f]*$")]
"""Of several lines, perhaps; other control characters would take six bytes each in JSON."""

Content = Annotated[str, StringConstraints(min_length=1, max_length=4000)]
UserName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_.]{2,32}$")]
DisplayName = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=_NO_CONTROL)]
StatusText = Annotated[str, StringConstraints(min_length=1, max_length=128, pattern=_NO_CONTROL)]
Password = Annotated[str, StringConstraints(min_length=8, max_length=128)]
Token = Annotated[str, StringConstraints(min_length=1, max_length=256)]
InviteCode = Annotated[str, StringConstraints(min_length=1, max_length=64)]
Nonce = Annotated[str, StringConstraints(min_length=1, max_length=64)]
ImageHash = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Color = Annotated[str, StringConstraints(max_length=32, pattern=_NO_CONTROL)]
"""How a role's name is shown, in whatever words clients agree on: `#ff8800`, or nothing."""

Reason = Annotated[str, StringConstraints(min_length=1, max_length=512)]
Rule = Literal[
    "view_channel",
    "send_messages",
    "add_reactions",
    "mention_everyone",
    "manage_messages",
    "manage_channels",
    "manage_roles",
    "manage_server",
    "invite_members",
    "kick_members",
    "ban_members",
    "administrator",
]
Rules = Annotated[list[Rule], Field(max_length=50)]
Position = Annotated[float, Field(ge=-1e9, le=1e9, allow_inf_nan=False)]
"""Any number: between two others there is always room for one more."""

Emoji = Annotated[str, StringConstraints(min_length=1, max_length=32, pattern=_NO_CONTROL)]
MessageId = Annotated[int, Field(ge=1, le=2**53)]
Anchor = Annotated[int, Field(ge=0, le=2**53)]
Amount = Annotated[int, Field(ge=1, le=100)]
Rev = Annotated[int, Field(ge=0, le=2**53)]


def rfc3339(moment: datetime) -> str:
    """A moment as the wire has it: UTC, milliseconds, as MongoDB keeps it."""
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return aware.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


Date = Annotated[
    datetime,
    PlainSerializer(rfc3339, return_type=str),
    WithJsonSchema({"type": "string", "format": "date-time"}, mode="serialization"),
]
"""RFC 3339, UTC, milliseconds (what MongoDB keeps)."""
