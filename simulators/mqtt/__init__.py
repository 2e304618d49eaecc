"""Simulated machines that publish JSON over MQTT."""
