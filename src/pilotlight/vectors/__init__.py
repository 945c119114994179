"""Word vectors before they are in a table: words counted, files read, converted and uploaded. No network of its own."""
