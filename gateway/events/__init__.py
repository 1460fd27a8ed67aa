"""What users did: from the answer that led to it to the vendors that learn from it."""
