"""Networks: manifests, graphs, providers, sessions, layers."""
