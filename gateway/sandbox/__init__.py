"""The vendors, emulated: shipped for trying and testing, imported by nothing in the core."""
