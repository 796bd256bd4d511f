"""Projects, processes, servers and clients, as the tests use them."""
