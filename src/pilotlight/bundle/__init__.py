"""A service's function becomes what Lambda runs: a zip or an OCI image, made without Docker."""
