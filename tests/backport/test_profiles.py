"""Profiles are data: every shipped one is read, a broken one is refused with its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from uplift.backport.profiles import load_profile, profile_names, read_profile
from uplift.errors import UpliftError


@pytest.mark.parametrize("name", profile_names())
def test_a_shipped_profile_accepts_the_lines_it_writes(name: str) -> None:
    profile = load_profile(name)
    rules = profile.provenance
    assert profile.id == name and profile.sources
    for form in filter(None, (rules.picked, rules.backported)):
        line = form.format(sha="a" * 40, tree=" linux-next" if rules.name_tree else "")
        assert not profile.forms or any(p.fullmatch(line) for p in profile.forms)


def test_an_own_profile_wins_over_a_shipped_one(tmp_path: Path) -> None:
    (tmp_path / "generic.toml").write_text(
        '[profile]\nid = "generic"\ntitle = "ours"\nsources = []\n[provenance]\nrequired = true\n'
    )
    assert load_profile("generic", (tmp_path,)).title == "ours"


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("", "[profile]"),
        ("[profile\n", "line 1"),
        ('[profile]\nid="x"\ntitle="x"\nsources=[]\n', "[provenance]"),
        ('[profile]\nid="x"\ntitle="x"\nsources=[]\n[provenance]\nrequired=1', "must be a bool"),
        (
            '[profile]\nid="x"\ntitle="x"\nsources=[]\n[provenance]\nrequired=true\nforms=["("]',
            "provenance.forms",
        ),
        (
            '[profile]\nid="x"\ntitle="x"\nsources=[]\n[provenance]\nrequired=true\nplace="up"',
            "provenance.place",
        ),
        ('[profile]\nid="x"\nnew=1\ntitle="x"\nsources=[]\n', "profile.new"),
        ("[else]\n", "[else]"),
    ],
)
def test_a_broken_profile_is_refused_with_its_place(tmp_path: Path, text: str, place: str) -> None:
    path = tmp_path / "own.toml"
    path.write_text(text)
    with pytest.raises(UpliftError) as error:
        read_profile(path)
    assert place in error.value.cause


@pytest.mark.parametrize("name", ["none", "../generic", "", "a\nb", "\x1b"])
def test_an_unknown_name_is_refused(name: str) -> None:
    with pytest.raises(UpliftError, match="no profile"):
        load_profile(name)
