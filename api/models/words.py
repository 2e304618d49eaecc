"""The closed sets of words that answers use, as types for the OpenAPI document."""

from typing import Literal

StateWord = Literal["unobserved", "offline", "linked", "responding", "connected"]
OriginWord = Literal["real", "unknown", "replayed", "simulated"]
ClassWord = Literal["operating", "processing", "mobile", "other"]
ReportModeWord = Literal["polled", "periodic", "on_change", "sleeping"]
EquipmentWord = Literal["", "high_energy", "general_power", "intelligent"]
ScopeWord = Literal["official", "rehearsal"]
Resolution = Literal["raw", "minute", "hour"]
