"""The namespace of a sweep's named actors.

They are made by the sweep's own process before Tune starts: an actor made inside a trial would die with the trial.
"""

NAMESPACE = "speech-orchestrator"
"""Fixed, so that all sweeps on one cluster find each other's."""

APART = {"namespace": NAMESPACE, "lifetime": "detached", "num_cpus": 0}
"""Options of the actors that a sweep brings along."""
