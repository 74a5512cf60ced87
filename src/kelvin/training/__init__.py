"""The loop: batches, precision, EMA, checkpoints."""
