"""No handler at all."""

LABELS = ("negative", "positive")
