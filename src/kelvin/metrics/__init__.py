"""Measures of images and features; nothing here knows a model."""
