"""Using a restorer: samplers, trajectories, likelihood, and the images of a run."""
