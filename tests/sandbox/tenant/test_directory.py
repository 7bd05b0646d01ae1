import json
import re
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from sandbox.tenant import Directory, Tenant, load_directory
from sandbox.tenant.default_method import PREFERENCES, find_carrier
from sandbox.tenant.directory import DEFAULT_FILE, security_identifier
from sandbox.tenant.method_types import METHOD_TYPES
from tests.sandbox.tenant.conftest import AVERY, BLAIR, CAMDEN, CASEY, DARCY, EMERGENCY, NOEL


@pytest.fixture(scope="module")
def directory() -> Directory:
    """Read the sandbox's own directory."""
    return load_directory()


def test_directory_when_loaded_then_one_user_has_every_type(directory: Directory) -> None:
    """Blair has each type that can be had."""
    assert {each.type for each in directory.users[BLAIR].methods} == {kind.name for kind in METHOD_TYPES}


def test_directory_when_loaded_then_defaults_are_carried_and_every_kind_is_there(directory: Directory) -> None:
    """Each user's default is a method that the user has, and each kind is somebody's."""
    defaults = {user.default_method for user in directory.users.values()}
    for user in directory.users.values():
        assert user.default_method == "none" or find_carrier(user, user.default_method)
    assert defaults == PREFERENCES | {"none"}


def test_directory_when_loaded_then_method_ids_are_unique_within_each_user(directory: Directory) -> None:
    """No two methods of a user share an id, copies neither."""
    for user in directory.users.values():
        assert len({each.id for each in user.methods}) == len(user.methods)
    numbers = [each.id.rpartition("-")[2] for each in directory.users[NOEL].registered[1:]]
    assert (len(numbers), numbers[0], numbers[-1]) == (45, "01", "45")


def test_directory_when_loaded_then_one_user_has_two_hundred_methods(directory: Directory) -> None:
    """Camden has more than two pages of them, of six types."""
    assert Counter(each.type for each in directory.users[CAMDEN].registered) == {
        "windowsHelloForBusiness": 45,
        "fido2": 60,
        "softwareOath": 40,
        "platformCredential": 50,
        "microsoftAuthenticator": 2,
        "phone": 3,
    }


def test_directory_when_file_has_deleted_users_then_dated_as_it_says_and_in_nothing(tmp_path: Path) -> None:
    """A deleted user may still stand in a group of the file, and is in none once it is read."""
    user = {"id": CASEY, "userPrincipalName": "u@contoso.example", "displayName": "U"}
    content = {
        "tenantId": "t",
        "users": [],
        "deletedUsers": [user | {"deletedDateTime": "2026-11-20T10:00:00Z"}],
        "groups": [{"id": "g", "displayName": "G", "members": [CASEY]}],
    }
    path = tmp_path / "directory.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    read = load_directory(path)
    assert (list(read.users), list(read.deleted_users), read.groups["g"].members) == ([], [CASEY], [])
    assert read.deleted_users[CASEY].deleted_at == datetime(2026, 11, 20, 10, tzinfo=UTC)
    assert load_directory().deleted_users[DARCY].deleted_at is None


def test_directory_when_loaded_then_numbers_and_names_are_fictional() -> None:
    """Phone numbers are 555-01xx, names end in .example."""
    content = json.loads(DEFAULT_FILE.read_text(encoding="utf-8"))
    users = content["users"] + content["deletedUsers"]
    methods = [each for user in users for each in user["authentication"]["methods"]]
    numbers = [each["phoneNumber"] for each in methods if "phoneNumber" in each]
    assert all(re.fullmatch(r"\+1 42555501\d\d", number) for number in numbers)
    assert len(set(numbers)) == len(numbers)
    assert all(user["userPrincipalName"].endswith(".example") for user in users)


def test_directory_when_loaded_twice_then_changes_stay_apart(directory: Directory) -> None:
    """Each load is a state of its own."""
    other = load_directory()
    other.users[AVERY].methods.clear()
    assert directory.users[AVERY].registered


def test_directory_when_user_is_looked_up_then_by_id_or_name_in_any_case(directory: Directory) -> None:
    """Both ways lead to the same user."""
    user = directory.users[EMERGENCY]
    assert directory.find_user(user.user_principal_name.upper()) is directory.find_user(user.id) is user
    assert directory.find_user("nobody") is None


@pytest.mark.parametrize("kind", ["groups", "administrativeUnits"])
def test_directory_when_file_names_unknown_objects_then_refused(tmp_path: Path, kind: str) -> None:
    """A member that is not in the file is a mistake in the file."""
    content: dict[str, Any] = {
        "tenantId": "t",
        "users": [],
        kind: [{"id": "x", "displayName": "X", "members": ["ghost"]}],
    }
    path = tmp_path / "directory.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(ValueError, match="ghost"):
        load_directory(path)


def test_security_identifier_when_computed_then_as_entra_does() -> None:
    """The example's words are the id's bytes, little-endian, four at a time."""
    assert security_identifier("00000001-0002-0003-0405-060708090a0b") == "S-1-12-1-1-196610-117835012-185207048"


async def test_directory_when_changed_while_serving_then_next_call_sees_it(tenant: Tenant) -> None:
    """The tenant's directory is the live one."""
    added = tenant.directory.add_user({"id": CASEY, "userPrincipalName": "casey@contoso.example", "displayName": "C"})
    assert tenant.directory.find_user("casey@contoso.example") is added
    assert [each.type for each in added.methods] == ["password"]
