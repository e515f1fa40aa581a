import signal

from hypothesis import HealthCheck, settings

pytest_plugins = ["tests.postgres_server", "tests.prefix_invariant"]

# No test asserts on time, and how long an example takes says more of the machine than of the code.
settings.register_profile("timeless", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("timeless")

# A shell has its background jobs ignore Ctrl-C, and all that they start: tests interrupt programs.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
