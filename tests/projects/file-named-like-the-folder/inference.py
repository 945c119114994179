"""A module that shadows the folder."""
