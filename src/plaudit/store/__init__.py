"""The store of replies on disk: schema, sessions, upkeep, damage."""
