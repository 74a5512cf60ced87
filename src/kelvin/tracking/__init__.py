"""MLflow, and nothing else knows MLflow: a view of reports/runs and data/ that can be rebuilt.

One experiment per data set, one flat run per (run, replicate, scale, fingerprint). Each carries in
the tag `content`, written last, the SHA-256 of what it was made from: what is shown already is left
alone, what changed is replaced (the old one goes to MLflow's trash, which `mlflow gc` empties), and
what a crash left half-made has no such tag.
"""
