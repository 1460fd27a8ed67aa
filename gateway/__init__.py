"""One normalized REST API in front of many recommendation vendors."""
