"""Sweeps on Kubernetes: what the manifests of ``deploy/kubernetes`` make of a command, and KubeRay of them."""
