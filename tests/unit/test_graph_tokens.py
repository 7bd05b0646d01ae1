"""What a token says of itself."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import TokenError
from shared.graph.tokens import read_roles


def token_of(claims: object) -> str:
    """Write a token as its issuer does, but for the signature."""
    payload = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    return f"e30.{payload}.signature"


def test_roles_when_the_token_holds_some_then_read() -> None:
    """Whatever is not a name is none."""
    assert read_roles(token_of({"roles": ["User.Read.All", "A", 7, None]})) == {"User.Read.All", "A"}


def test_roles_when_nothing_is_granted_then_none() -> None:
    """A token without the claim is one of an identity without rights."""
    assert read_roles(token_of({"oid": "x"})) == frozenset()


@pytest.mark.parametrize(
    "token", ["", "opaque", "a.b", "a.!.c", "a.8J-Yng.c", token_of([]), token_of("x"), token_of({"roles": "all"})]
)
def test_roles_when_the_token_cannot_be_read_then_there_is_none_to_read(token: str) -> None:
    """Unknown is not `no rights`; and nothing of the token is said."""
    with pytest.raises(TokenError) as raised:
        read_roles(token)
    assert raised.value.code == "unreadableToken"


@given(st.text())
def test_roles_when_the_token_is_anything_then_roles_or_a_typed_error(token: str) -> None:
    """Reading is total."""
    try:
        assert read_roles(token) == frozenset()
    except TokenError:
        return
