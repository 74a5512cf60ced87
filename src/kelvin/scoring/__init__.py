"""Scores of images that somebody made, against real ones: no pipeline, no DVC."""
