"""Adaptive searches: their history in the store, what Optuna and ASHA are told of it, and the one time the test split is opened."""
