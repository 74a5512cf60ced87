"""The backward side: parameterisation, objectives, samplers."""
