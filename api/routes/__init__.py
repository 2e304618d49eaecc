"""The routes, one module per subject. Each module has a `router`; `api.application` puts them together."""
