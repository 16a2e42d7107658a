"""Parts that need no server."""
