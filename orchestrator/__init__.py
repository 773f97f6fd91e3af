"""Plans and runs sweeps on Ray, tracks them in MLflow, makes tables.

The words, each with one meaning in code, logs, MLflow and documents:

corpus       recordings with speakers, sessions, labels, transcripts and splits, read into one manifest
stage        one job with a result on disk; a frozen, typed config that knows its upstream stages and how to run itself
trainable    a stage that trains (Ray's word)
fingerprint  the identity of a stage: class, version, every setting that can change its result, corpus digest, upstream fingerprints
study        what one table asks: rows, columns, published numbers, and for each row a function from a seed to a chain of stages
trial        one point of a study's search space, seed included
sweep        a study being run by Ray Tune
cell run     the MLflow run that stands for one row of a table: mean, std and interval over its seeds
twin         the licence-free demo corpus that stands in for a licensed one
"""
