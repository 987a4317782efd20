"""Commit objects as bytes, the odd ones included."""

from __future__ import annotations

from uplift.backport.commit_text import read_commit

HEAD = b"""tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904
parent 1111111111111111111111111111111111111111
parent 2222222222222222222222222222222222222222
author J\xc3\xb6rg <j@example.org> 1700000000 +0530
committer B <b@example.org> 1700000060 -0800
"""


def test_a_commit_is_read_whole():
    commit = read_commit("f" * 40, HEAD + b"\nnet: one\n title\n\nBody.\n\nMore.\n")
    assert commit.parents == ("1" * 40, "2" * 40)
    assert (commit.author.name, commit.author.email) == ("Jörg", "j@example.org")
    assert (commit.author.time, commit.author.zone) == (1_700_000_000, "+0530")
    assert (commit.subject, commit.body) == ("net: one title", "Body.\n\nMore.")


def test_the_encoding_header_is_honoured():
    head = HEAD.replace(b"J\xc3\xb6rg", b"J\xf6rg") + b"encoding ISO-8859-1\n"
    commit = read_commit("f" * 40, head + b"\nna\xefve\n")
    assert (commit.author.name, commit.subject) == ("Jörg", "naïve")


def test_undeclared_latin_1_is_still_text():
    assert read_commit("f" * 40, HEAD + b"\nna\xefve\n").subject == "naïve"


def test_an_encoding_that_is_a_transformation_is_ignored():
    assert read_commit("f" * 40, HEAD + b"encoding zip\n\nx\n").subject == "x"


def test_a_signature_does_not_hide_the_message():
    signed = HEAD + b"gpgsig -----BEGIN-----\n \n abc\n -----END-----\n\nsubject\n"
    assert read_commit("f" * 40, signed).subject == "subject"


def test_a_damaged_commit_gives_empty_values():
    commit = read_commit("f" * 40, b"author nobody\n\xff\xfe")
    assert (commit.tree, commit.parents, commit.author.time, commit.subject) == ("", (), 0, "")


def test_a_time_beyond_reason_is_none():
    raw = HEAD.replace(b"1700000000", b"9" * 400)
    assert read_commit("f" * 40, raw + b"\nx\n").author.time == 0
