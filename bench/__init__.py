"""How fast: workloads that are run by hand, never as tests."""
