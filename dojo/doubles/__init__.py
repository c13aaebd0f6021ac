"""Stand in for the outside world: the mail server, HTTP services, the clock and the network."""
