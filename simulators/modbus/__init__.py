"""A Modbus TCP server as equipment has one: register image, protocol, identification, endpoints."""
