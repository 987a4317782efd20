"""Messages as they stand in real stable branches; the shas are shortened or made up."""

from __future__ import annotations

import time

import pytest

from uplift.backport.model import ReferenceKind as Kind
from uplift.backport.trailers import references

A, B, C = "1" * 39 + "a", "2" * 39 + "b", "3" * 39 + "c"


def kinds(message: str) -> list[tuple[Kind, str]]:
    return [(item.kind, item.named) for item in references(message)]


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        (f"(cherry picked from commit {A})", Kind.PICKED),
        (f"(cherry-picked from {A})", Kind.PICKED),
        (f"(cheery-pick from commit {A})", Kind.PICKED),
        (f"(cherry picked from commitd {A})", Kind.PICKED),
        (f"(cherry picked from commit: {A})", Kind.PICKED),
        (f"(cherry picked from commit\n{A})", Kind.PICKED),
        (f"cherry-pick:{A}", Kind.PICKED),
        (f"Cherry-picked-from: {A}", Kind.PICKED),
        (f"This is a cherry-pick of commit {A} from master.", Kind.PICKED),
        (f"[ upstream commit {A} ]", Kind.UPSTREAM),
        (f"[Upstream commit {A}", Kind.UPSTREAM),
        (f"[ upstream commit: {A} ]", Kind.UPSTREAM),
        (f"commit {A} upstream.", Kind.UPSTREAM),
        (f"Upstream commit {A}.", Kind.UPSTREAM),
        (f"From master commit {A}.", Kind.UPSTREAM),
        (f"master commit: {A}", Kind.UPSTREAM),
        (f"Upstream-commit: {A}", Kind.UPSTREAM),
        (f"xen-unstable changeset:   26151:{A}", Kind.UPSTREAM),
        (f"OpenZFS-commit: https://github.com/openzfs/openzfs/commit/{A}", Kind.UPSTREAM),
        (f"[ backported from upstream commit {A} ]", Kind.BACKPORTED),
        (f"(backported from commit {A} linux-next)", Kind.BACKPORTED),
        (f"Backport of commit {A}", Kind.BACKPORTED),
        (f"Stable-dep-of: {A[:12]}1 ('net: fix')", Kind.DEPENDENCY),
        (f"This reverts commit {A}.", Kind.REVERTS),
        (f"Reverts: {A[:12]}1", Kind.REVERTS),
        (f'Fixes: {A[:12]}1 ("net: add")', Kind.FIXES),
    ],
)
def test_a_statement_is_read_in_the_forms_people_write(line, kind):
    found = references(f"subject\n\nText.\n\n{line}\nSigned-off-by: A <a@example.org>\n")
    assert [(item.kind, item.named[:12]) for item in found] == [(kind, A[:12])]


@pytest.mark.parametrize(
    "line",
    [
        f'Upstream commit {A} ("x") changed this.',
        f"The regression came with commit {A}, see there.",
        f"It was fixed on master (commit {A}) differently.",
        f"Guilty commit: {A}",
        f"See https://git.example.org/c/{A}",
        f"Since upstream commit {A} the order is different.",
        f"commit {A}",
    ],
)
def test_running_text_links_nothing(line):
    assert kinds(f"subject\n\n{line}\n") == [(Kind.MENTION, A)]


@pytest.mark.parametrize(
    "text",
    [
        "the defaced facade was effaced in 20200101",
        "id 550e8400-e29b-41d4-a716-446655440000, mac 00:1a:2b:3c:4d:5e",
        "Change-Id: I0123456789abcdef0123456789abcdef01234567",
        "Message-Id: <1234567abc@example.org> at 0xdeadbeef00",
    ],
)
def test_words_numbers_and_identifiers_are_no_shas(text):
    assert references(f"subject\n\n{text}\n") == ()


def test_in_a_chain_of_picks_the_first_is_the_original():
    chain = "".join(f"(cherry picked from commit {sha})\n" for sha in (A, B, C))
    assert kinds(f"subject\n\n{chain}") == [(Kind.PICKED, sha) for sha in (A, B, C)]


def test_a_squashed_backport_names_several():
    message = f"subject\n\n(cherry picked from commits {A}\n and {B})\nmaster commit: {C}\n"
    assert kinds(message) == [(Kind.PICKED, A), (Kind.PICKED, B), (Kind.UPSTREAM, C)]


def test_another_repository_is_the_place():
    found = references(f"subject\n\n(cherry picked from ovn repo commit {A})\n")
    assert found[0].place == "ovn"
    assert references(f"s\n\n(from OVS commit {A})\n")[0].place == "OVS"
    assert references(f"s\n\n(backported from commit {A} linux-next)\n")[0].place == "linux-next"


def test_a_title_is_read_across_lines_with_its_line_number():
    found = references(f'subject\n\nFixes: {A[:12]}1 ("net: one\n long (really) title")\n')
    assert (found[0].title, found[0].line) == ("net: one long (really) title", 3)


def test_several_fixes_in_one_line():
    assert kinds(f"s\n\nFixes: {A}, {B}\n") == [(Kind.FIXES, A), (Kind.FIXES, B)]


def test_a_revert_without_a_sha_has_the_title():
    found = references('Revert "net: add"\n\nIt broke.\n')
    assert [(item.kind, item.named, item.title) for item in found] == [
        (Kind.REVERTS, "", "net: add")
    ]


def test_reapply_takes_back_the_revert():
    found = references(f'Reapply "net: add"\n\nThis reverts commit {A}.\n')
    assert found[0].title == 'Revert "net: add"'


def test_the_other_side_of_a_reverted_merge_is_a_mention():
    message = f'Revert "Merge x"\n\nThis reverts commit {A}, reversing\nchanges made to {B}.\n'
    assert kinds(message) == [(Kind.REVERTS, A), (Kind.MENTION, B)]


def test_a_revert_in_part_says_so():
    assert references(f"s\n\nThis partially reverts commit {A}.\n")[0].place == "in part"


@pytest.mark.parametrize(
    "unit",
    ["(cherry picked ", "[", '("', "a" * 64 + " ", "Fixes: ", "reverts ", "x commit ", "\n "],
)
def test_a_hostile_message_costs_less_than_a_second(unit):
    started = time.process_time()
    references("s\n\n" + unit * (200_000 // len(unit)))
    assert time.process_time() - started < 1
