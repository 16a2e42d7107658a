"""A chat in the terminal, on Guildwire."""
