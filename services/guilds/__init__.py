"""Servers with their channels, roles, members and invites. In code a server is a guild only by the service's name."""
