"""Samples and runs under the one protocol of a comparison."""
