"""``cnntool devices``, and the options of all commands that run networks."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import click
import pytest
from terminals import pieces

from cnntool.cli.network_options import running
from cnntool.nets.runtime import providers
from cnntool.nets.runtime.providers import PROVIDERS, SessionSettings
from cnntool.system import usable_cpus

FAKE = Path(__file__).parents[2] / "nets" / "fake_runtime.py"


@pytest.fixture
def fake(tmp_path, monkeypatch):
    """Have the tool find a stand-in for onnxruntime."""
    folder = tmp_path / "site"
    folder.mkdir()
    shutil.copy(FAKE, folder / "onnxruntime.py")
    monkeypatch.setenv("PYTHONPATH", str(folder))
    return folder / "onnxruntime.py"


def test_every_device_has_its_line(cnntool):
    done = cnntool("devices")
    rows = [line.split("\t") for line in done.text.splitlines()]
    assert [(row[0], row[1]) for row in rows] == [(w, r.provider) for w, r in PROVIDERS.items()]
    assert {len(row) for row in rows} == {5}
    works = {row[0]: row[2] for row in rows}
    assert works["cpu"] == "works"
    for device, _, state, milliseconds, reason in rows:
        assert (state == "works") == (reason == "") == (milliseconds != ""), device
    assert f"{usable_cpus()} usable CPU" in done.err


def test_records(cnntool):
    records = [json.loads(line) for line in cnntool("devices", "--json", "-q").text.splitlines()]
    cpu = records[-1]
    assert 1 < cpu.pop("milliseconds") < 30_000
    assert cpu.pop("onnxruntime")[0].isdecimal()
    assert cpu == {
        "device": "cpu", "provider": "CPUExecutionProvider", "works": True, "reason": None,
        "hint": None, "cpus": usable_cpus(),
    }  # fmt: skip
    assert all(record["hint"] for record in records if not record["works"])


def test_one_device(cnntool, fails):
    assert cnntool("devices", "--device", "cpu", "-q").text.startswith("cpu\t")
    error = fails(2, "devices", "--device", "cuad")
    assert "no device is called 'cuad' (nearest: cuda, cpu, auto)" in error


def test_one_device_that_does_not_work(fails, fake):
    error = fails(5, "devices", "--device", "rocm:1", "--json")
    assert "error: rocm:1: not in the installed onnxruntime (no ROCMExecutionProvider)\n" in error
    assert PROVIDERS["rocm"].hint in error


def test_a_provider_that_fails_does_not_hide_the_others(here, fake, monkeypatch):
    monkeypatch.setenv("FAKE_HAS", "CUDAExecutionProvider ROCMExecutionProvider")
    monkeypatch.setenv("FAKE_RAISES", "CUDAExecutionProvider")
    monkeypatch.setenv("FAKE_FALLS", "ROCMExecutionProvider")
    monkeypatch.setenv("FAKE_INPUTS", "picture kernel")
    rows = [line.split("\t") for line in here("devices").text.splitlines()]
    reasons = {row[0]: row[4].partition(";")[0] for row in rows}
    assert reasons["cuda"] == "does not start: CUDAExecutionProvider has a cold"
    assert reasons["rocm"] == "does not start: ROCMExecutionProvider is asleep"
    assert reasons["coreml"] == "not in the installed onnxruntime (no CoreMLExecutionProvider)"
    assert reasons["cpu"] == ""


def test_what_nobody_installed_does_not_fail(fake, monkeypatch, capfd):
    from cnntool.cli.main import run

    monkeypatch.setenv("FAKE_HAS", "CUDAExecutionProvider")
    monkeypatch.setenv("FAKE_RAISES", "CUDAExecutionProvider")
    monkeypatch.setenv("FAKE_INPUTS", "picture kernel")
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    capfd.readouterr()
    assert run(["devices", "-q"]) == 0
    lines = {line.split()[0]: line for line in capfd.readouterr().out.splitlines() if line.strip()}
    assert "fails " in lines["cuda"]
    assert "does not start: CUDAExecutionProvider has a cold" in lines["cuda"]
    assert "not installed" in lines["coreml"]
    assert "it takes macOS and: pip install 'cnntool[cpu]'" in lines["coreml"]
    assert "onnxruntime (no" not in lines["coreml"]
    assert "works" in lines["cpu"]


def test_wrong_numbers_are_no_success(fails, fake, monkeypatch):
    monkeypatch.setenv("FAKE_INPUTS", "picture kernel")
    monkeypatch.setenv("FAKE_RUN", "wrong")
    assert "error: cpu: computes wrongly\n" in fails(5, "devices")


def test_without_onnxruntime(fails, fake):
    fake.write_text("raise ModuleNotFoundError(name='onnxruntime')")
    error = fails(5, "devices")
    assert "error: onnxruntime is not installed\n" in error
    assert "hint: pip install 'cnntool[cpu]'" in error


def test_two_wheels_are_warned_of(here, monkeypatch):
    assert "overwrite" not in here("devices").err
    monkeypatch.setattr(providers, "wheels", lambda: ["onnxruntime", "onnxruntime-gpu"])
    assert "onnxruntime and onnxruntime-gpu are installed and overwrite" in here("devices").err


def test_a_terminal_gets_a_table(cnntool):
    pty = pytest.importorskip("pty")
    import os
    import subprocess

    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "cnntool", "devices", "-q"]
    environment = {**os.environ, "COLUMNS": "80", "NO_COLOR": "1", "TERM": "dumb"}
    with subprocess.Popen(command, stdout=theirs, env=environment) as process:
        os.close(theirs)
        text = b"".join(pieces(ours))
    assert process.returncode == 0
    lines = text.decode().splitlines()
    assert any(line.split()[:2] == ["cpu", "works"] for line in lines)
    assert max(map(len, lines)) <= 80
    assert "\t" not in text.decode()


# ------------------------------------------------------------------ options


def settings_of(*arguments: str, **environment: str) -> SessionSettings:
    """Return what a command makes of its options."""
    found: list[SessionSettings] = []

    @click.command()
    @running
    def command(settings) -> None:
        found.append(settings)

    command.main(list(arguments), standalone_mode=False)
    return found[0]


@pytest.fixture(autouse=True)
def _no_defaults_of_the_user(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    for name in ("DEVICE", "THREADS", "TIMEOUT", "MAX_MEMORY", "CONFIG"):
        monkeypatch.delenv(f"CNNTOOL_{name}", raising=False)


def test_defaults():
    assert settings_of() == SessionSettings()
    assert SessionSettings().max_memory > 1 << 28


def test_options_beat_the_environment_beats_the_file(tmp_path, monkeypatch):
    (tmp_path / "cnntool").mkdir()
    (tmp_path / "cnntool" / "config.toml").write_text(
        'device = "cpu"\nthreads = 3\ntimeout = 5.5\nmax_memory = "1G"\n'
    )
    assert settings_of() == SessionSettings(
        device="cpu", threads=3, timeout=5.5, max_memory=1 << 30
    )
    monkeypatch.setenv("CNNTOOL_DEVICE", "cuda:1")
    monkeypatch.setenv("CNNTOOL_TIMEOUT", "7")
    monkeypatch.setenv("CNNTOOL_THREADS", "2")
    monkeypatch.setenv("CNNTOOL_MAX_MEMORY", "2g")
    assert settings_of() == SessionSettings("cuda:1", threads=2, timeout=7.0, max_memory=2 << 30)
    options = ["--device", "auto", "--threads", "1", "--timeout", "0.5", "--max-memory", "512MiB"]
    assert settings_of(*options) == SessionSettings(threads=1, timeout=0.5, max_memory=512 << 20)


@pytest.mark.parametrize(
    ("text", "size"),
    [("512M", 512 << 20), ("4g", 4 << 30), ("1.5G", 3 << 29), ("0.5TiB", 1 << 39),
     ("100000000", 100_000_000), ("65536K", 64 << 20), ("64MB", 64 << 20)],
)  # fmt: skip
def test_sizes(text, size):
    assert settings_of("--max-memory", text).max_memory == size


@pytest.mark.parametrize(
    ("option", "text", "message"),
    [
        ("--max-memory", "a lot", "'a lot' is no size, such as 512M or 1.5G"),
        ("--max-memory", "", "'' is no size"),
        ("--max-memory", "G", "'G' is no size"),
        ("--max-memory", ".", "'.' is no size"),
        ("--max-memory", "-1G", "'-1G' is no size"),
        ("--max-memory", "1.2.3G", "'1.2.3G' is no size"),
        ("--max-memory", "\N{SUPERSCRIPT TWO}G", "is no size"),
        ("--max-memory", "63M", "'63M' is less than onnxruntime itself takes (64M)"),
        ("--timeout", "0", "0"),
        ("--timeout", "nan", "nan"),
        ("--threads", "0", "0"),
        ("--device", "cuda:x", "has no device number"),
    ],
)
def test_options_that_make_no_sense(option, text, message):
    with pytest.raises(click.BadParameter) as caught:
        settings_of(option, text)
    assert message in caught.value.message


def test_verbose_tells_the_limits(here, samples):
    done = here("classify", "-v", samples / "cat.png", "--max-memory", "2G", "--timeout", "77")
    told = "vgg16-mini may take 2048 MiB of memory (--max-memory) and 77 s (--timeout)\n"
    assert told in done.err
