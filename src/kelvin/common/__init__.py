"""Shared foundations: files, git, devices, random streams; nothing of images or diffusion."""
