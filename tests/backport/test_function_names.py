"""Which functions a patch changes, told by its hunks."""

from __future__ import annotations

import pytest

from uplift.backport.function_names import functions_in, name_in


@pytest.mark.parametrize(
    ("line", "name"),
    [
        (b"static int foo(struct x *y)", b"foo"),
        (b"foo(void) OVS_REQUIRES(mutex)", b"foo"),
        (b"struct conntrack_zone_info {", b"conntrack_zone_info"),
        (b"static const struct ops netdev_ops = {", b"netdev_ops"),
        (b"int table[MAX] = {", b"table"),
        (b"def read(self, path):", b"read"),
        (b"pub fn decode(bytes: &[u8]) -> u64 {", b"decode"),
        (b"func (s *Server) Start() error {", b"Start"),
        (b"class Index(Base):", b"Index"),
        (b"if (x)", b""),
        (b"", b""),
        (b"x" * 200 + b"(", b""),
    ],
)
def test_the_name_in_a_line_that_begins_something(line: bytes, name: bytes) -> None:
    assert name_in(line) == name


def test_a_change_deep_in_a_function_is_told_of_the_headers_function() -> None:
    assert functions_in(b"@@ -90,7 +90,7 @@ static int deep(void)\n a\n-b\n+c\n d\n") == {"deep"}


def test_a_change_in_a_functions_first_lines_is_not_told_of_the_one_before() -> None:
    hunk = b"@@ -8,5 +8,5 @@ int before(void)\n }\n \n int here(void)\n {\n-    a();\n+    b();\n"
    assert functions_in(hunk) == {"here"}


def test_a_function_that_comes_or_goes_is_changed() -> None:
    assert functions_in(b"@@ -0,0 +1,3 @@\n+int new(int a)\n+{\n+}\n") == {"new"}
    assert functions_in(b"@@ -1,3 +0,0 @@\n-int old(int a)\n-{\n-}\n") == {"old"}


def test_a_prototype_and_a_label_begin_nothing() -> None:
    hunk = b"@@ -1,6 +1,6 @@ void f(void)\n out:\n-    x();\n+    y();\n int later(void);\n"
    assert functions_in(hunk) == {"f"}


def test_an_indented_method_is_its_own() -> None:
    hunk = b"@@ -1,4 +1,4 @@ class A:\n     def run(self):\n-        pass\n+        return 1\n"
    assert functions_in(hunk) == {"run"}


def test_text_without_hunks_changes_nothing() -> None:
    assert functions_in(b"") == set()
    assert functions_in(b"Binary files a/x and b/x differ\n") == set()
