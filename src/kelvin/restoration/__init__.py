"""The model: a network, what it predicts, and the restored image made of it."""
