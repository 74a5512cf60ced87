"""Data sets: where images come from, how they are split, and the store that later stages read."""
