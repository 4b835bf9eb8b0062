import pytest
from hypothesis import given
from hypothesis import strategies as st

from alnb.errors import AlnbError
from alnb.ui.launch import session_named


def test_a_name_is_a_folder_in_the_one_that_is_served(tmp_path):
    assert session_named("token=t&session=Anna-2", tmp_path) == tmp_path.resolve() / "Anna-2"


@pytest.mark.parametrize("query", ["", "token=t", "sessions=a"])
def test_an_address_without_a_session_names_none(tmp_path, query):
    assert session_named(query, tmp_path) is None


@pytest.mark.parametrize(
    "name",
    ["", "..", ".", "../other", "a/b", "/etc", "%2e%2e%2fother", "a%00", "a%0a", "x" * 65, "-x"],
)
def test_what_is_no_name_is_refused(tmp_path, name):
    with pytest.raises(AlnbError, match="the address names the session"):
        session_named(f"session={name}", tmp_path / "served")


def test_a_link_that_leads_out_is_refused(tmp_path):
    (tmp_path / "served").mkdir()
    (tmp_path / "served" / "door").symlink_to(tmp_path / "other")

    with pytest.raises(AlnbError, match="the session door lies elsewhere"):
        session_named("session=door", tmp_path / "served")


@given(st.text())
def test_whatever_is_asked_for_lies_in_the_folder(tmp_path_factory, name):
    from urllib.parse import urlencode

    served = tmp_path_factory.getbasetemp()
    try:
        found = session_named(urlencode({"session": name}), served)
    except AlnbError:
        return
    assert found.parent == served.resolve()
