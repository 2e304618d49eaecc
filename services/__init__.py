"""The cloud services, one room each."""
