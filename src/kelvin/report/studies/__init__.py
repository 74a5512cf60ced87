"""One file a study: its figures, tables and findings."""
