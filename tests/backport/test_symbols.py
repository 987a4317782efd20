"""Names that a series uses and the branch lacks: told, and what brings them taken along."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.backport.test_plan import Upstream, roles, text
from uplift.backport.model import MissingSymbol, Role
from uplift.backport.plan import Options

HELPER = "int\nenable_port(int x)\n{\n\treturn x;\n}\n"
HEADER = "struct port {\n\tint size;\n\tlong window;\n};\n"


@pytest.fixture
def upstream(tmp_path: Path) -> Iterator[Upstream]:
    yield Upstream(tmp_path)


def test_what_defines_a_called_function_comes_before_the_call(upstream: Upstream) -> None:
    needed = upstream.commit("port: a helper", helper_c=HELPER)
    upstream.commit("b: something else", b_c=text(at20="twenty"))
    wanted = upstream.commit("a: use it", a_c=text(at9="\treturn enable_port(1);"))
    planned = upstream.plan(wanted)
    assert roles(planned) == [(needed, Role.PREREQUISITE), (wanted, Role.REQUESTED)]
    reason = planned.series[0].reason
    assert "does not compile without it" in reason and "enable_port" in reason
    assert planned.symbols == () and upstream.applied(planned) == [True, True]


def test_what_brings_a_name_may_need_names_itself(upstream: Upstream) -> None:
    first = upstream.commit("port: a window", port_h=HEADER)
    body = HELPER.replace("return x", "return p->window")
    second = upstream.commit("port: a helper", helper_c=body)
    wanted = upstream.commit("a: use it", a_c=text(at9="\treturn enable_port(1);"))
    assert [sha for sha, _ in roles(upstream.plan(wanted))] == [first, second, wanted]


def test_a_definition_that_was_moved_is_traced_to_what_brought_it(upstream: Upstream) -> None:
    needed = upstream.commit("port: a helper", b_c=text() + HELPER)
    upstream.commit("port: a file of its own", b_c=text(), helper_c=HELPER)
    wanted = upstream.commit("a: use it", a_c=text(at9="\treturn enable_port(1);"))
    assert [sha for sha, _ in roles(upstream.plan(wanted))] == [needed, wanted]


def test_with_prerequisites_left_out_the_name_is_told(upstream: Upstream) -> None:
    needed = upstream.commit("port: a window", port_h=HEADER)
    wanted = upstream.commit("a: use it", a_c=text(at9="\tp->window = 0;"))
    planned = upstream.plan(wanted, options=Options(prerequisites=False))
    assert planned.symbols == (MissingSymbol("window", "member", wanted, "a.c", "port.h", needed),)
    assert planned.applies and roles(planned) == [(wanted, Role.REQUESTED)]


def test_a_header_that_the_branch_lacks_is_told(upstream: Upstream) -> None:
    needed = upstream.commit("port: a window", port_h=HEADER)
    wanted = upstream.commit("a: use it", a_c='#include "port.h"\n' + text())
    assert [sha for sha, _ in roles(upstream.plan(wanted))] == [needed, wanted]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", HELPER + "\treturn enable_port(1);\n"),  # it brings the name itself
        ("static " + HELPER.replace("int\n", "int ", 1), "\treturn enable_port(1);\n"),
    ],
    ids=["its own", "another file's own"],
)
def test_what_is_no_ones_but_its_own_is_not_lacking(
    upstream: Upstream, before: str, after: str
) -> None:
    upstream.commit("b: before", b_c=text() + before + "\n")
    wanted = upstream.commit("a: use it", a_c=text() + after)
    planned = upstream.plan(wanted)
    assert planned.symbols == () and roles(planned) == [(wanted, Role.REQUESTED)]


def test_a_name_that_the_branch_has_anywhere_is_not_lacking(upstream: Upstream) -> None:
    repository = upstream.repository
    repository.run("checkout", "-q", "stable")
    repository.commit("port: the branch's own", {"own.h": "int enable_port(int x);\n"})
    repository.run("checkout", "-q", "main")
    upstream.commit("port: a helper", helper_c=HELPER)
    wanted = upstream.commit("a: use it", a_c=text(at9="\treturn enable_port(1);"))
    assert roles(upstream.plan(wanted)) == [(wanted, Role.REQUESTED)]


def test_where_its_origin_conflicts_the_series_stays_and_the_name_is_told(
    upstream: Upstream,
) -> None:
    repository = upstream.repository
    repository.run("checkout", "-q", "stable")
    repository.commit("b: the branch's own", {"b.c": text(at39="branch")})
    repository.run("checkout", "-q", "main")
    needed = upstream.commit("port: a helper", b_c=text(at39="upstream") + HELPER)
    wanted = upstream.commit("a: use it", a_c=text(at9="\treturn enable_port(1);"))
    planned = upstream.plan(wanted)
    assert roles(planned) == [(wanted, Role.REQUESTED)] and planned.applies
    assert [symbol.brought_by for symbol in planned.symbols] == [needed]
