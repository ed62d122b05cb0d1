"""The simulated venues: one file or folder each, listed in `registry`, described by `spec`."""
