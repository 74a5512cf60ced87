"""Figures and tables that several studies share."""
