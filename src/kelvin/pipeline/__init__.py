"""`kelvin repro`: DVC decides what is to be done, an Executor works, on one machine or many."""
