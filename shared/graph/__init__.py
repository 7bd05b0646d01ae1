"""Microsoft Graph and the managed identity: the `Directory` that the product works on.

Reading order: `directory` keeps the port's promises. `requests` says what is sent, `wire` what an answer means,
`facts` and `group_facts` what an entity says, `masking` what of it may be shown; none of these does any I/O. `repeats`
decides what is tried again, `client` does it, `batches` for many calls in one; `privilege` reads what leads to
privilege, `snapshot` shares it, `guard` reads a user's part in it. `connection` and `tokens` hold the SDKs, which are
imported with the first call.
"""

from shared.graph.client import CallReport
from shared.graph.directory import GraphDirectory

__all__ = ["CallReport", "GraphDirectory"]
