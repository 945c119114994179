"""What ships to Lambda beside the user's code. Nothing here imports more than a few standard modules at start."""

import pilotlight.function.trace  # noqa: F401 - first, since its clock says when the first of our code ran
