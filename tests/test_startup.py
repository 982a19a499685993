"""Start-up is a promise: what is loaded when."""

import os
import subprocess
import sys

import pytest

OURS = {"cnntool", "click"}
NETWORKS = [
    ["classify"],
    ["activations", "--all", "--stats-only"],
    ["explain", "--raw", "npy", "-o", os.devnull, "--overwrite"],
]
HEAVY = {"numpy", "PIL", "scipy", "skimage", "tifffile", "rich", "onnxruntime", "isal"}


def loaded(code: str, cwd=None) -> set[str]:
    """Run code in a fresh interpreter and return the top-level packages it loaded."""
    probe = f"""
import sys
def done():
    print("LOADED", *sorted({{m.partition(".")[0] for m in sys.modules}}), file=sys.stderr)
import atexit
atexit.register(done)
{code}
"""
    done = subprocess.run(
        [sys.executable, "-c", probe],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=cwd,
        check=False,
    )
    line = next(line for line in done.stderr.splitlines() if line.startswith("LOADED"))
    return set(line.split()[1:])


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], ["filter", "--help"], ["kernels", "show", "--help"]]
)
def test_help_loads_click_alone(arguments):
    code = f"from cnntool.cli.main import run; run({arguments!r})"
    assert not loaded(code) & HEAVY


def test_the_help_of_every_verb_loads_click_alone():
    code = """
from importlib import import_module
from cnntool.cli.main import COMMANDS
for verb in COMMANDS:
    import_module(f"cnntool.cli.commands.{verb}")"""
    assert not loaded(code) & HEAVY


@pytest.mark.parametrize(
    ("words", "allowed"),
    [
        ("cl", set()),
        ("activations --styl", set()),
        ("activations --style vi", set()),
        ("classify -m vgg", set()),
        ("filter -k sob", {"numpy"}),
        ("activations -l block4", {"numpy"}),
    ],
)
def test_a_completion_loads_what_it_needs(words, allowed):
    code = f"""
import os
words = {words.split()!r}
os.environ |= dict(_CNNTOOL_COMPLETE="zsh_complete", COMP_CWORD=str(len(words)),
                   COMP_WORDS=" ".join(["cnntool", *words]))
from cnntool.cli.main import run
assert run([]) == 0
"""
    assert loaded(code) & HEAVY == allowed


def test_a_convolution_loads_no_scipy(tmp_path, samples):
    arguments = [
        "filter",
        "-k",
        "gaussian:2",
        "-k",
        "sobel",
        str(samples / "cat.png"),
        "-o",
        "o.png",
    ]
    found = loaded(f"from cnntool.cli.main import run; assert run({arguments!r}) == 0", tmp_path)
    assert {"numpy", "PIL"} <= found
    assert not found & {"scipy", "skimage", "tifffile", "rich", "onnxruntime"}
    assert (tmp_path / "o.png").exists()


@pytest.mark.parametrize("command", NETWORKS)
def test_the_process_of_a_network_starts_before_numpy_is_imported(command, samples):
    """Both import what they need side by side then."""
    arguments = [*command, "-q", str(samples / "cat.png")]
    code = f"""
def hook(event, _):
    starts = event in ("os.posix_spawn", "subprocess.Popen")
    if starts and not {{"early", "late"}} & {{*sys.modules}}:
        sys.modules["late" if "numpy" in sys.modules else "early"] = sys
sys.addaudithook(hook)
from cnntool.cli.main import run
assert run({arguments!r}) == 0"""
    assert loaded(code) & {"late", "early"} == {"early"}


def test_a_matrix_loads_no_pillow(samples):
    arguments = ["filter", "-k", "box", str(samples / "matrix.csv")]
    found = loaded(f"from cnntool.cli.main import run; assert run({arguments!r}) == 0")
    assert not found & {"PIL", "scipy", "skimage", "tifffile", "rich"}


def test_scipy_signal_is_never_imported():
    from pathlib import Path

    import cnntool

    for path in Path(cnntool.__file__).parent.rglob("*.py"):
        assert "scipy.signal" not in path.read_text(), path


@pytest.mark.parametrize("command", NETWORKS)
def test_a_network_loads_no_convolution(command, samples):
    arguments = [*command, "-q", str(samples / "cat.png")]
    code = f"""
from cnntool.cli.main import run
assert run({arguments!r}) == 0
rooms = {{name.split(".")[1] for name in sys.modules if name.startswith("cnntool.")}}
sys.modules.update(dict.fromkeys(("room_" + room for room in rooms), sys))"""
    found = loaded(code)
    assert "room_nets" in found
    assert "room_filters" not in found


def test_importing_the_package_loads_nothing():
    before = loaded("")
    assert loaded("import cnntool") == before | {"cnntool"}


def test_filtering_an_array_loads_no_more_than_it_needs():
    code = "import numpy as np, cnntool; cnntool.filter(np.zeros((9, 9), np.uint8), 'sobel')"
    assert not loaded(code) & {
        "click",
        "PIL",
        "scipy",
        "skimage",
        "tifffile",
        "rich",
        "onnxruntime",
    }
