from dataclasses import FrozenInstanceError

import pytest

from resolvers.principal import Principal


def test_a_caller_without_a_token_is_anonymous_and_no_staff() -> None:
    caller = Principal.anonymous("shop")
    assert caller.is_anonymous
    assert caller == Principal(user_id=None, tenant="shop", is_staff=False, expires_at=None)


def test_a_caller_with_a_user_id_is_not_anonymous() -> None:
    assert not Principal("u1", "shop", is_staff=False, expires_at=1.0).is_anonymous


def test_a_principal_cannot_be_changed_once_made() -> None:
    caller = Principal.anonymous("shop")
    with pytest.raises(FrozenInstanceError):
        caller.is_staff = True  # type: ignore[misc]  # the very thing that must fail
