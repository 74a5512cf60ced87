"""Faults of params.yaml that only its parts can tell, found before any stage works."""
