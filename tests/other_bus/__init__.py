"""A second broker and a second client, neither of the sandbox's make: see README.md."""
