"""Models that take pictures, optimised: as `optimize` does for texts, with pixels in the place of tokens."""
