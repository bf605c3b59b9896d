"""What a network is, in no framework's terms, and how its parameters should begin."""
