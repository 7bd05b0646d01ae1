"""AMQP errors as the broker tells them."""

from __future__ import annotations

from proton import Condition, symbol


def build_condition(name: str, description: str) -> Condition:
    """Give an AMQP error; it always has an info map, which the azure-servicebus client reads without looking."""
    return Condition(name, description, {symbol("com.microsoft:origin"): "sandbox"})
