"""Results as files: every folder, file name, key and array has one typed reader and writer here.

    data/models/<dataset>/<run>-<replicate>/       models.py, weights.py
    data/models/<dataset>/classifier, reference    features.py
    data/starts/<dataset>/<run>-<replicate>/       starts.py
    data/samples/<dataset>/<run>-<replicate>/      samples.py
    data/evaluations/<dataset>/<run>-<replicate>/  evaluations.py
    reports/runs/<dataset>/                        evaluations.py

Readers check what they read: a file that is missing, cut short or damaged is one sentence with its
cure. Modules import the standard library alone; numpy and torch wait until arrays are asked for.
"""
