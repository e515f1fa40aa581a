pytest_plugins = ["tests.postgres_server", "tests.prefix_invariant"]
