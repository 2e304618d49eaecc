"""What the API answers with: one module per subject, every model with an example that the OpenAPI document shows."""
