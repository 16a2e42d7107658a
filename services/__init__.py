"""The processes of Guildwire: one gateway and three domain services."""
