"""The HTTP side: who calls, which status code, problem documents (RFC 9457). Knows nothing of azure-functions.

`routes` answers calls, `principals` says who calls, `answers` makes what goes back.
"""

from shared.web.answers import HttpAnswer, health
from shared.web.principals import Principal
from shared.web.routes import HttpCall, Web

__all__ = ["HttpAnswer", "HttpCall", "Principal", "Web", "health"]
