"""Sweeps on Kubernetes: what KubeRay makes of a manifest, known before it is applied."""
