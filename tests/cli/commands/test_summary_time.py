"""``cnntool summary --time``: what each layer takes."""

from __future__ import annotations

import csv
import json
import re
import sys
from pathlib import Path

import pytest

CAT = Path(__file__).parents[3] / "samples" / "cat.png"
ONCE = ["--time", CAT, "--runs", "1", "--threads", "1", "--device", "cpu"]
HEADS = [
    "number",
    "layer",
    "tensor",
    "type",
    "milliseconds",
    "share",
    "GMAC/s",
    "moved",
    "provider",
    "fused",
    "kernels",
]


def masked(text):
    """Hide what the clock says."""
    return re.sub(r"\d+\.\d{3}\t|\d+\.\d%|(?<=\t)\d+\.\d(?=\t)", "#", text)


@pytest.mark.full
def test_lines_in_a_pipe(here):
    lines = masked(here("summary", *ONCE).text).splitlines()
    assert lines[0] == "1\tblock1_conv1\tblock1_conv1\tConv\t##\t#\t1577728\tCPU\trelu:1\tConv"
    assert lines[2] == "5\tblock1_pool\tblock1_pool\tMaxPool\t##\t-\t1658880\tCPU\t-\tMaxPool"
    assert lines[-2:] == ["\ttotal\t\t\t#\t\t\t\t\t", "\tbare run\t\t\t#\t\t\t\t\t"]


@pytest.mark.full
def test_devices_beside_each_other(here):
    done = here("summary", *ONCE[:-1], "cpu,auto", "--csv")
    rows = list(csv.reader(done.text.splitlines()))
    assert rows[0] == ["number", "layer", "tensor", "type", "ms cpu", "ms cpu"]
    assert rows[1][:4] == ["1", "block1_conv1", "block1_conv1", "Conv"]
    assert all(float(cell) > 0 for cell in rows[1][4:])


@pytest.mark.full
def test_csv(here):
    rows = list(csv.DictReader(here("summary", *ONCE, "--csv").text.splitlines()))
    assert list(rows[0]) == HEADS
    assert sum(float(row["share"]) for row in rows) == pytest.approx(1)


def test_json(here):
    record = json.loads(here("summary", *ONCE, "--json").text)
    assert list(record) == ["model", "file", "profiles"]
    (found,) = record["profiles"]
    assert found["device"] == "cpu"
    assert found["input"] == {"input": [1, 3, 144, 144]}
    assert found["layers"][0]["fused"] == ["relu:1"]
    times = [row["milliseconds"] for row in found["layers"]]
    assert found["total"] == pytest.approx(sum(times))


@pytest.mark.full
def test_a_table_for_people(here, monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "150")
    lines = here("summary", *ONCE).text.splitlines()
    assert any(
        re.match(r" +1 +block1_conv1 +block1_conv1 +Conv +[\d.]+ +[\d.]+% ", x) for x in lines
    )
    assert any(re.fullmatch(r"profiler +\d+\.\d+ ms of its own work, .*", x) for x in lines)
    assert any(x.startswith("bare run ") and x.endswith("% of it") for x in lines)


@pytest.mark.parametrize(
    ("arguments", "code", "line"),
    [
        (["--time", "--columns", "layer"], 2, "--columns and --time exclude each other"),
        (["--runs", "3"], 2, "--runs, --device, --threads and --max-memory are for --time"),
        (["--device", "cpu"], 2, "--runs, --device, --threads and --max-memory are for --time"),
        (["--time", "nothing.png"], 3, "nothing.png: no such file"),
        (["--time", "--device", "tensorrt"], 5, "tensorrt: not in the installed onnxruntime"),
        (["nothing.onnx", "--time"], 4, "nothing.onnx: no such file"),
    ],
)
def test_what_cannot_be_had(here, arguments, code, line):
    done = here("summary", *arguments, code=code)
    assert done.text == ""
    assert f"cnntool: error: {line}" in done.err


def test_nan_in_a_photo_has_no_hint_that_leads_nowhere(here, tmp_path):
    (tmp_path / "p.csv").write_text("1,nan\n")
    said = here("summary", "--time", "p.csv", code=3).err
    assert "p.csv: NaN at row 0, column 1" in said
    assert "allow" not in said
