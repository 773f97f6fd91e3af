"""Corpora, features, models, losses and the stages made of them. Knows torch; knows neither Ray nor MLflow.

Importing a stage's module imports no torch: a stage is settings until it runs.
"""
