"""What happened, kept durably."""
