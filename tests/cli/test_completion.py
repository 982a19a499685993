"""What a shell gets when somebody presses TAB."""

import os
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.shell_completion import ZshComplete, get_completion_class
from tiny import chain

from cnntool.cli import completion, main, network_options


@pytest.fixture(autouse=True)
def alone(monkeypatch, tmp_path):
    """Without the user's defaults, and as loud as before afterwards."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setattr(completion.TALK, "quiet", False)
    for name in ("CNNTOOL_MODEL", "CNNTOOL_CONFIG"):
        monkeypatch.delenv(name, raising=False)


def offered(line):
    """Return what click offers for a line; what is behind its last space is unfinished."""
    *words, last = line.split(" ")
    shell = ZshComplete(main.cli, {}, "cnntool", "_CNNTOOL_COMPLETE")
    return [item.type if item.type != "plain" else item.value
            for item in shell.get_completions(words, last)]  # fmt: skip


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("cl", ["classify"]),
        ("filter --bor", ["--border"]),
        ("filter --border re", ["reflect", "replicate"]),
        ("filter -k prew", ["prewitt", "prewitt-x", "prewitt-y"]),
        ("filter -k @kernel", ["file"]),
        ("filter -k sobel sam", ["file"]),
        ("filter --format p", ["png", "pnm", "pfm"]),
        ("filter -o ed", ["file"]),
        ("kernels show lap", ["laplacian"]),
        ("kernels sh", ["show"]),
        ("activations --style vi", ["viridis"]),
        ("activations --style=vi", ["viridis"]),
        ("activations -l block4_p", ["block4_pool"]),
        ("activations -l conv:12", ["conv:12"]),
        ("activations -m vgg16-mini -l predictions/", ["predictions/Softmax"]),
        ("layers --resolve flat", ["flatten"]),
        ("layers --type den", ["dense"]),
        ("evaluate --without block1_p", ["block1_pool"]),
        ("classify -m vgg1", ["vgg16", "vgg16-mini", "vgg19"]),
        ("classify -m ./ne", ["file"]),
        ("summary squeezenet1.", ["squeezenet1.0", "squeezenet1.1"]),
        ("models info sq", ["squeezenet1.0", "squeezenet1.1"]),
        ("classify --device cu", ["cuda"]),
        ("diff --device cpu,cu", ["cpu,cuda"]),
        ("diff --optimise none,ba", ["none,basic"]),
        ("explain --method occ", ["occlusion"]),
    ],
)
def test_what_is_offered(line, expected):
    assert offered(line) == expected


def test_every_verb_is_offered_with_its_line():
    shell = ZshComplete(main.cli, {}, "cnntool", "_CNNTOOL_COMPLETE")
    assert {item.value: item.help for item in shell.get_completions([], "")} == main.COMMANDS


def test_layers_are_those_of_the_model_that_is_named(monkeypatch, tmp_path):
    net = tmp_path / "net.onnx"
    net.write_bytes(chain().SerializeToString())
    monkeypatch.setenv("CNNTOOL_MODEL", "no-such-model")
    for line in (f"activations -m {net} -l ", f"weights {net} -l ", f"weights -m {net} -l ",
                 f"diff {net} -l ", f"diff -m {net} a.png b.png -l "):  # fmt: skip
        assert "block1_conv2" in offered(line), line
    monkeypatch.setenv("CNNTOOL_MODEL", str(net))
    assert "block1_conv2" in offered("weights -l ")
    monkeypatch.delenv("CNNTOOL_MODEL")
    config = tmp_path / "cnntool" / "config.toml"
    config.parent.mkdir()
    config.write_text(f"model = '{net}'\n")
    assert "block1_conv2" in offered("activations -l ")


def asked(monkeypatch, capfd, shell, words, at=None):
    """Ask as the scripts of shells do; return the exit code and what stdout and stderr got."""
    monkeypatch.setenv("_CNNTOOL_COMPLETE", f"{shell}_complete")
    monkeypatch.setenv("COMP_WORDS", "\n".join(words))
    monkeypatch.setenv("COMP_CWORD", str(len(words) - 1) if at is None else at)
    return main.run([]), *capfd.readouterr()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["activations", "--style", "=", "vi"], "plain,viridis\n"),
        (["activations", "--style", "="], "plain,gray\nplain,viridis\nplain,magma\n"),
        (["activations", "-l", "pool", ":", "6"], "plain,6\n"),
        (["activations", "-l", "dense", ":"], "plain,1\n"),
        (["activations", "-l", "conv", ":", "1", "--styl"], "plain,--style\n"),
        (["weights", "-l", "block1_conv1", "--upsc"], "plain,--upscale\n"),
    ],
)
def test_bash_takes_words_apart(monkeypatch, capfd, words, expected):
    code, out, err = asked(monkeypatch, capfd, "bash", ["cnntool", *words])
    assert (code, err) == (0, "")
    assert out.startswith(expected)


def test_an_empty_word_behind_a_colon(monkeypatch, capfd):
    words = ["cnntool", "activations", "-l", "conv", ":", "1"]
    _, out, _ = asked(monkeypatch, capfd, "bash", words, at="6")
    assert out == f"file,{''}\n"


def test_fish_replaces_the_option_too(monkeypatch, capfd):
    words = ["cnntool", "activations", "--style=vi"]
    _, out, _ = asked(monkeypatch, capfd, "fish", words, at="--style=vi")
    assert "--style=viridis\n" in out
    _, out, _ = asked(monkeypatch, capfd, "fish", [*words[:2], "--sty"], at="--sty")
    assert out.split()[0].removeprefix("plain,") in {"plain", "--style"}
    assert "=--" not in out


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
@pytest.mark.parametrize(
    "words",
    [
        ["nonsense", "-l", "x"],
        ["activations", "-m", "no-such-model", "-l", "b"],
        ["activations", "-m", __file__ + ".onnx", "-l", "b"],
    ],
)
def test_nothing_is_said_where_there_is_nothing_to_offer(monkeypatch, capfd, shell, words):
    code, out, err = asked(monkeypatch, capfd, shell, ["cnntool", *words], words[-1]
                           if shell == "fish" else None)  # fmt: skip
    assert (code, out, err) == (1, "", "")


def test_an_unknown_shell(monkeypatch, capfd):
    assert asked(monkeypatch, capfd, "csh", ["cnntool", ""]) == (1, "", "")


def test_the_scripts_call_the_tool(monkeypatch, capfd):
    for shell in ("bash", "zsh", "fish"):
        monkeypatch.setenv("_CNNTOOL_COMPLETE", f"{shell}_source")
        assert main.run([]) == 0
        out, err = capfd.readouterr()
        assert f"_CNNTOOL_COMPLETE={shell}_complete" in out
        assert not err
        assert get_completion_class(shell) is not None


def test_a_network_that_reads_slowly_is_given_up(monkeypatch, capfd):
    from cnntool.nets.network import Network

    monkeypatch.setattr(network_options, "READ_WITHIN", 0.05)
    monkeypatch.setattr(Network, "read", lambda self: time.sleep(5))
    began = time.monotonic()
    code, out, err = asked(monkeypatch, capfd, "zsh", ["cnntool", "weights", "-l", "b"])
    assert (code, out, err) == (1, "", "")
    assert time.monotonic() - began < 2


@pytest.mark.full
@pytest.mark.skipif(not shutil.which("bash"), reason="no bash here")
def test_a_key_in_bash(tmp_path):
    pty = pytest.importorskip("pty")
    ours, theirs = pty.openpty()
    folder = Path(sys.executable).parent
    environment = {**os.environ, "TERM": "dumb", "PS1": "$ ", "HISTFILE": "/dev/null",
                   "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}  # fmt: skip
    shell = subprocess.Popen(
        ["bash", "--norc", "--noprofile", "-i"],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=environment,
        cwd=tmp_path,
        start_new_session=True,
    )
    os.close(theirs)
    seen = b""

    def until(sign):
        nonlocal seen
        end = time.monotonic() + 30
        while sign not in seen and time.monotonic() < end:
            if select.select([ours], [], [], 0.1)[0]:
                seen += os.read(ours, 4096)
        assert sign in seen, seen

    try:
        os.write(ours, b'eval "$(_CNNTOOL_COMPLETE=bash_source cnntool)"; echo re""ady\n')
        until(b"ready")
        os.write(ours, b"cnntool filter -k lapl\t")
        until(b"laplacian ")
        os.write(ours, b"--border refl\t")
        until(b"reflect ")
    finally:
        os.write(ours, b"\x15exit\n")
        shell.wait(10)
        os.close(ours)
