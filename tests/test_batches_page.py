"""The commands of docs/batches.md, as they stand, on a few photos of which one is bad."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

PAGE = (Path(__file__).parent.parent / "docs" / "batches.md").read_text()
BLOCKS = re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.full
@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")
def test_commands(tmp_path):
    pytest.importorskip("onnxruntime")
    rng = np.random.default_rng(0)
    for label in ("cat", "dog"):
        (tmp_path / "photos" / label).mkdir(parents=True)
        for number in range(3):
            pixels = rng.integers(0, 256, (40, 60, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / f"photos/{label}/{number}.png")
    (tmp_path / "photos" / "dog" / "bad.png").write_text("no picture")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "cnntool").write_text(f'#!/bin/sh\nexec {sys.executable} -m cnntool "$@"\n')
    (tmp_path / "bin" / "cnntool").chmod(0o755)
    path = f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"
    told = [
        subprocess.run(
            ["bash", "-c", block],
            cwd=tmp_path,
            env={**os.environ, "PATH": path},
            capture_output=True,
            text=True,
            check=True,
        )
        for block in BLOCKS
    ]
    filtered, resized, judged = told
    *lines, bad = filtered.stdout.splitlines()
    names = [f"edges/{label}/{number}.png" for label in ("cat", "dog") for number in range(3)]
    assert lines == [*names, "exit code 1"] * 2
    assert (json.loads(bad)["input"], json.loads(bad)["code"]) == ("photos/dog/bad.png", 3)
    assert "0 done, 6 skipped, 1 failed" in filtered.stderr
    *lines, first, second = resized.stdout.splitlines()
    assert (first, second) == ("exit code 1", "exit code 6")
    assert sorted(lines) == [name.replace("edges", "small") for name in names]
    assert "photos/dog/1.png: its result would have the name of that of" in resized.stderr
    assert not (tmp_path / "flat").exists()
    assert judged.stdout.count("exit code 1") == 3
    tables = judged.stdout.split("exit code 1\n")
    assert tables[0] == tables[1]
    assert "all\t6\t" in tables[0]
    rows = [json.loads(line) for line in (tmp_path / "maps.jsonl").read_text().splitlines()]
    assert [row["code"] for row in rows[1:]] == [0, 0, 0, 0, 0, 0, 3]
    assert len(list((tmp_path / "maps").rglob("*.png"))) == 6
