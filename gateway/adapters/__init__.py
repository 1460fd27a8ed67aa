"""One module a vendor; each is found by its entry point in the group `gateway.adapters`."""
