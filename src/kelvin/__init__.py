"""Kelvin: one scale for hot and cold diffusion."""
