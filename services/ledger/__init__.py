"""The device book: what is registered, imported and exported, and told to gateways."""
