"""The report: metrics.json, tables, curves, figures, findings and one page."""
