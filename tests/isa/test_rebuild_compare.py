"""What a rebuild changed, from audits made by hand."""

from __future__ import annotations

from uplift.isa.model import Confidence, FileAudit, FunctionAudit, Identity, Reach, SetUse
from uplift.isa.rebuild_compare import Audited, Gained, compare, matched

V3 = frozenset({"base", "avx", "avx2", "fma"})


def _function(name: str, reach: Reach, *sets: str, sure: bool = True) -> FunctionAudit:
    confidence = Confidence.FDE if sure else Confidence.UNREACHED
    uses = {name: SetUse(3, confidence, reach, 0x1000) for name in sets}
    return FunctionAudit(name, 0x1000, 64, confidence, reach, uses)


def _file(*functions: FunctionAudit, names: frozenset[str] = frozenset()) -> Audited:
    sets = {name: use for f in functions for name, use in f.sets.items()}
    result = FileAudit("/usr/lib/libx.so.1", "x86-64", Identity("shared"), sets, functions, "", "")
    return Audited(result, 1000, names)


def test_a_function_gained_what_it_did_not_use_before():
    before = _file(_function("dot", Reach.ALWAYS, "avx"))
    after = _file(_function("dot", Reach.ALWAYS, "avx", "fma"))
    assert compare(before, after, V3).gained == (Gained("dot", ("fma",), new=False),)


def test_a_function_named_before_without_such_sets_is_not_new():
    before = _file(names=frozenset({"dot"}))
    after = _file(_function("dot", Reach.ALWAYS, "avx2"), _function("static", Reach.ALWAYS, "avx2"))
    assert [(g.name, g.new) for g in compare(before, after, V3).gained] == [
        ("dot", False),
        ("static", True),
    ]


def test_a_choice_at_run_time_is_redundant_only_for_what_the_level_always_has():
    after = _file(
        _function("dot_avx2", Reach.DISPATCHED, "avx2"),
        _function("dot_avx512", Reach.DISPATCHED, "avx2", "avx512f"),
        _function("plain", Reach.ALWAYS, "avx2"),
    )
    assert compare(None, after, V3).redundant == ("dot_avx2",)


def test_what_is_above_the_level_and_not_guarded_violates_it():
    after = _file(
        _function("leaked", Reach.ALWAYS, "avx2", "avx512f"),
        _function("perhaps", Reach.UNKNOWN, "avx512f"),
        _function("guarded", Reach.DISPATCHED, "avx512f"),
        _function("data", Reach.UNKNOWN, "avx512f", sure=False),
    )
    found = compare(None, after, V3).violations
    assert [(v.function, v.sets, v.certain) for v in found] == [
        ("leaked", ("avx512f",), True),
        ("perhaps", ("avx512f",), False),
    ]


def test_bytes_that_may_be_data_count_as_no_gain():
    after = _file(_function("0x10", Reach.UNKNOWN, "avx2", sure=False))
    change = compare(None, after, V3)
    assert (change.gained, change.functions) == ((), (0, 0))


def test_a_file_is_found_again_after_usr_was_merged():
    assert matched(["/usr/lib/a.so", "/usr/bin/b"], ["/lib/a.so", "/usr/bin/c"]) == {
        "/usr/lib/a.so": "/lib/a.so"
    }
