"""The label app: what is asked, marked, answered and learned."""
