"""Faults of params.yaml that only its parts or the images show, before any stage works."""
