"""The kit of a door: bodies, queries, errors, the OpenAPI document, declared operations."""
