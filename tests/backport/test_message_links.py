"""Links of commit messages: which trailers count, and which ways to write a bug are one bug."""

from __future__ import annotations

import pytest

from uplift.backport import message_links
from uplift.backport.message_links import Link, LinkKind, links, meant

MESSAGE = """net: mend it

As https://example.org/prose says; Link: in the middle of a line does not count.

BugLink: https://bugs.launchpad.net/bugs/2031412
Bugzilla ID: 1234
Reported-at: https://mail.openvswitch.org/pipermail/ovs-dev/2020-May/1.html.
Closes: #1012345, 1012346 and bug#1012347
Closes: https://syzkaller.appspot.com/bug?extid=ab12 [1]
Link: https://lore.kernel.org/r/20230101.1-x@example.org # the discussion
Link:
 https://lore.kernel.org/all/20230102.1-x@example.org/
Resolves: RHEL-1234
Fixes: 0123456789ab ("a commit, no bug")
Fixes: #77
Signed-off-by: A <a@example.org>
(LP: #2031412, #2031413)
"""


def test_trailers_of_many_projects_are_read_in_order_and_prose_is_not() -> None:
    assert [(link.kind.value, link.value) for link in links(MESSAGE)] == [
        ("bug", "https://bugs.launchpad.net/bugs/2031412"),
        ("bug", "1234"),
        ("bug", "https://mail.openvswitch.org/pipermail/ovs-dev/2020-May/1.html"),
        ("closes", "#1012345"),
        ("closes", "1012346"),
        ("closes", "bug#1012347"),
        ("closes", "https://syzkaller.appspot.com/bug?extid=ab12"),
        ("link", "https://lore.kernel.org/r/20230101.1-x@example.org"),
        ("link", "https://lore.kernel.org/all/20230102.1-x@example.org/"),
        ("closes", "RHEL-1234"),
        ("closes", "#77"),
        ("bug", "LP: #2031412"),
        ("bug", "LP: #2031413"),
    ]


@pytest.mark.parametrize(
    "ways",
    [
        (
            "LP#2031412",
            "lp: #2031412",
            "https://bugs.launchpad.net/bugs/2031412",
            "https://launchpad.net/bugs/2031412/",
            "https://bugs.launchpad.net/ubuntu/+source/linux/+bug/2031412/comments/3",
            "http://pad.lv/2031412",
        ),
        (
            "Debian#1012345",
            "https://bugs.debian.org/1012345",
            "https://bugs.debian.org/cgi-bin/bugreport.cgi?msg=5;bug=1012345",
        ),
        ("#12", "12", "bug 12"),
        ("https://bugs.dpdk.org/show_bug.cgi?id=12", "http://BUGS.dpdk.org/show_bug.cgi?x=1&id=12"),
        ("RHEL-12", "rhel-12", "https://issues.redhat.com/browse/RHEL-12"),
        (
            "https://lore.kernel.org/r/2023.1-x@example.org",
            "https://lore.kernel.org/netdev/2023.1-x@example.org/",
            "https://lkml.kernel.org/r/2023.1-x@example.org",
            "https://patch.msgid.link/2023.1-x@example.org",
        ),
        ("https://github.com/o/r/issues/5", "https://www.github.com/o/r/pull/5#comment"),
        ("https://example.org/a/", "HTTPS://example.org/a"),
    ],
)
def test_all_ways_to_write_one_bug_have_one_key(ways: tuple[str, ...]) -> None:
    assert len({meant(way) for way in ways}) == 1
    assert len({Link(LinkKind.BUG, way).meant.key for way in ways}) == 1


def test_a_bare_number_may_be_any_trackers_but_launchpads() -> None:
    dpdk = meant("https://bugs.dpdk.org/show_bug.cgi?id=12")
    launchpad = meant("LP#12")
    bare = meant("12")
    assert dpdk and launchpad and bare
    assert bare.key in dpdk.keys
    assert bare.key not in launchpad.keys


@pytest.mark.parametrize("text", ["", "LP#", "--upload-pack=x", "a\nb", "#", "9" * 13, "\x1b[31m"])
def test_what_is_no_bug_means_nothing(text: str) -> None:
    assert meant(text) is None


def test_hostile_messages_are_capped_and_carry_no_control_characters() -> None:
    many = "".join(f"Link: https://example.org/{n}\n" for n in range(10_000))
    assert len(links(many)) == message_links.MAX_LINKS
    assert links("Link: https://example.org/" + "x" * 100_000) == ()
    (link,) = links("Link: https://example.org/a\x1b]0;owned\x07\n")
    assert link.value == "https://example.org/a"
    for text in ("Closes: " + "#1," * 100_000, "LP: " + "#123 " * 50_000, "link" * 60_000):
        assert len(links(text)) <= message_links.MAX_LINKS
