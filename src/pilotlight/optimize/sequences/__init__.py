"""Models that turn one text into another: an encoder, and a decoder with a cache that chooses inside its graph."""
