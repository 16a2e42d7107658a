"""The cache, in parts: where each scope stands, servers, messages, users, and the file."""

from guildwire.cache.cache import Cache

__all__ = ["Cache"]
