"""As `mirror`, behind another front end."""

from inference.mirror import handler

__all__ = ["handler"]
