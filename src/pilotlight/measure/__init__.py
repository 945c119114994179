"""How fast and how large: cold starts taken apart, models timed. Gives values; the command line shows them."""
