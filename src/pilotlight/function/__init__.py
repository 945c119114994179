"""What ships to Lambda beside the user's code. Nothing here imports more than a few standard modules at start."""
