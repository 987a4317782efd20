"""``uplift boot`` as scripts and terminals see it, with an emulator that only answers."""

from __future__ import annotations

import argparse
import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from uplift.cli import boot as command
from uplift.facts import snapshot_file
from uplift.lab import qemu
from uplift.lab.packages import Userland

from .debs import bz_image, write

CPUINFO = "processor : 0\\\\nvendor_id : GenuineIntel\\\\nflags : fpu avx2\\\\n"
SNAPSHOT = (
    '{"schema":"uplift-snapshot/1","kind":"machine","arch":"x86_64"}\\n'
    f'{{"id":"file:/proc/cpuinfo","status":"ok","encoding":"utf-8","data":"{CPUINFO}"}}\\n'
    '{"end":true,"captures":1}\\n'
)
#: Answers like QEMU 7.2: a wrong model is refused, a hanging one panics, others lose a feature.
EMULATOR = f"""#!/bin/sh
for word; do
  case $word in
    *id=port*) port=${{word##*path=}};;
    wrong*) echo "qemu: unable to find CPU model 'wrong'" >&2; exit 1;;
    dies*) printf 'Linux\\n\\033[2Jpanic'; exit 0;;
  esac
done
echo "qemu: warning: TCG doesn't support requested feature: CPUID.07H:EBX.hle [bit 4]" >&2
echo Linux
printf '{SNAPSHOT}' > "$port"
"""


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return a kernel package, on a machine with that emulator and no apt."""
    program = tmp_path / "bin/qemu-system-x86_64"
    program.parent.mkdir()
    program.write_text(EMULATOR)
    program.chmod(0o755)
    (tmp_path / "userland.cpio").touch()
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(qemu, "fetch_userland", lambda _: Userland(tmp_path / "userland.cpio"))
    files = {"./boot/vmlinuz-6.1": bz_image(), "./boot/config-6.1": b"CONFIG_KVM=m\n"}
    return str(write(tmp_path, "linux-image.deb", files))


def run(*words: str) -> int:
    parser = argparse.ArgumentParser()
    command.add_to(parser.add_subparsers())
    args = parser.parse_args(["boot", "--accel", "tcg", *words])
    return int(args.run(args))


def schemas() -> dict[str, Any]:
    folder = files("uplift.report").joinpath("schema")
    texts = (json.loads(entry.read_text("utf-8")) for entry in folder.iterdir())
    return {schema["$id"]: schema for schema in texts}


def test_the_document_is_what_its_schema_says(
    kernel: str, capsys: pytest.CaptureFixture[str]
) -> None:
    models = ("--cpu", "Haswell", "--cpu", "wrong", "--cpu", "dies")
    assert run("--kernel", kernel, *models, "--json", "--explain", "x86/avx2") == 1
    document = json.loads(capsys.readouterr().out)
    known = schemas()
    resources = [(name, Resource.from_contents(schema)) for name, schema in known.items()]
    validator = Draft202012Validator(
        known["urn:uplift:uplift-boot/1"], registry=Registry().with_resources(resources)
    )
    validator.validate(document)
    booted, refused, lost = document["boots"]
    assert document["counts"] == {"booted": 1, "lost": 1, "refused": 1}
    assert (booted["kernel"], booted["accel"], booted["dropped"]) == ("6.1", "tcg", ["hle"])
    assert booted["feature"]["id"] == "x86/avx2" and booted["why"] == ""
    assert "unable to find CPU model" in refused["why"] and refused["snapshot"] is None
    assert lost["console"][0] == "Linux"


def test_what_was_dropped_is_told_and_a_strange_console_cannot_steer_the_terminal(
    kernel: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("--kernel", kernel, "--cpu", "Haswell", "--cpu", "dies") == 1
    shown = capsys.readouterr().out
    assert "dropped by the emulator  hle" in shown
    assert "| \\x1b[2Jpanic" in shown and "\x1b" not in shown
    assert shown.rstrip().splitlines()[-1].split() == ["6.1", "booted", "-1", "lost"]


def test_an_architecture_may_be_named_as_debian_does(
    kernel: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("--kernel", kernel, "--arch", "amd64", "--cpu", "Haswell") == 0
    assert capsys.readouterr().out.startswith("booted  6.1  Haswell")


def test_a_boot_that_was_had_whole_is_met(kernel: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--kernel", kernel, "--cpu", "Haswell") == 0
    assert capsys.readouterr().out.startswith("booted  6.1  Haswell")


def test_snapshots_of_a_grid_are_named_by_kernel_and_model(
    kernel: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "boots"
    run("--kernel", kernel, "--cpu", "Haswell,-avx2", "--cpu", "max", "--save", str(place))
    names = sorted(path.name for path in place.iterdir())
    assert names == ["6.1.Haswell+-avx2.jsonl.gz", "6.1.max.jsonl.gz"]
    snapshot = snapshot_file.load(place / names[0])
    assert snapshot.redacted and snapshot.captures["file:/boot/config-6.1"].text == "CONFIG_KVM=m\n"
    assert "avx2=off" in snapshot.captures["cmd:qemu-system-x86_64/warnings"].how


def test_one_snapshot_goes_to_the_file_that_is_named(kernel: str, tmp_path: Path) -> None:
    run("--kernel", kernel, "--save", str(tmp_path / "a.jsonl.gz"))
    assert snapshot_file.load(tmp_path / "a.jsonl.gz").arch == "x86_64"
