"""Using a restorer: samplers, trajectories, likelihood, and the images of a run."""

from kelvin.sampling import single_shot  # noqa: F401 - it enters study E's sampler
