"""Small function apps, written to disk for a host to load."""

import json
from collections.abc import Mapping
from pathlib import Path
from textwrap import dedent
from typing import Any

HOST_JSON: Mapping[str, Any] = {
    "version": "2.0",
    "extensionBundle": {"id": "Microsoft.Azure.Functions.ExtensionBundle", "version": "[4.*, 5.0.0)"},
}
HEAD = """
import asyncio, json, logging, os, sys, time, typing
import azure.functions as func

app = func.FunctionApp()
"""
# What every app needs that is only to be there.
ANSWERING = """
@app.route("ping", auth_level=func.AuthLevel.ANONYMOUS)
async def ping(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse("pong")
"""


def write_app(directory: Path, source: str, host_json: Mapping[str, Any] | None = None) -> Path:
    """Write function_app.py and host.json; the directory."""
    (directory / "function_app.py").write_text(HEAD + dedent(source), encoding="utf-8")
    (directory / "host.json").write_text(json.dumps({**HOST_JSON, **(host_json or {})}), encoding="utf-8")
    return directory
