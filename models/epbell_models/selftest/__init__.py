"""Linux's selftest of an endpoint, run on whatever offers the host's driver: one list of tests, several targets."""
