"""What the operations do, one module a subject; which there are, and for whom, says `gateway.server.endpoints`."""
