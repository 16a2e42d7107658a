"""What gateways tell presence: that they live, and which users have a socket there. Served by presence."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from shared.protocol.account import User
from shared.protocol.contract import Entity, Method, Params
from shared.protocol.fields import Id

MOST_REPORTED = 200

Users = Annotated[list[Id], Field(max_length=MOST_REPORTED)]


class KeepLease(Params):
    """A sign of life. `begins`: the lease is a new one."""

    lease: Id
    begins: bool = False


class LeaseState(Entity):
    """An ended lease never stands again: the gateway begins another, with all its users."""

    stands: bool


class EnterUser(Params):
    lease: Id
    user_id: Id


class Entered(LeaseState):
    """The user as of when it was online, which it is if the lease stands."""

    user: User


class ReportUsers(Params):
    """Who has a socket under this lease from now on, and who has none any more; nobody is in both."""

    lease: Id
    came: Users = Field(default_factory=list)
    went: Users = Field(default_factory=list)


KEEP_LEASE = Method("keep_lease", "presence", KeepLease, LeaseState, internal=True)
ENTER_USER = Method("enter_user", "presence", EnterUser, Entered, internal=True)
REPORT_USERS = Method("report_users", "presence", ReportUsers, LeaseState, internal=True)
