"""params.yaml: its sections as types, its layers resolved, its plan written."""
