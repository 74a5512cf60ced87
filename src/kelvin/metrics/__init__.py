"""Measures of images and features; nothing here uses a model."""
