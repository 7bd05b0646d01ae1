"""Azurite, Microsoft's emulator of Azure Table Storage, and a way to it that can be cut."""

from tests.azurite.proxy import Proxy
from tests.azurite.server import Azurite, AzuriteMissingError

__all__ = ["Azurite", "AzuriteMissingError", "Proxy"]
