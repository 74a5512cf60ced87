"""Raw images: found, read, and brought to one shape."""
