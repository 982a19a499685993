"""The user's defaults: after options and environment, before the tool's own."""

import sys
from pathlib import Path

import click
import pytest

from cnntool.cli import options
from cnntool.cli.network_options import model_option
from cnntool.errors import UsageError

SAMPLES = Path(__file__).parents[2] / "samples"

EVERYTHING = """\
model = "vgg16"
device = "cuda:1"
threads = 3
timeout = 2.5
max_memory = "2G"
offline = true
overwrite = true
"""


@pytest.fixture
def write(tmp_path, monkeypatch):
    for name in ("CNNTOOL_CONFIG", "CNNTOOL_MODEL", "CNNTOOL_THREADS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    path = tmp_path / "cnntool" / "config.toml"
    path.parent.mkdir()
    return lambda text: path.write_text(text) and path


def test_all_keys(write):
    write(EVERYTHING)
    assert options.defaults() == {
        "model": "vgg16",
        "device": "cuda:1",
        "threads": 3,
        "timeout": 2.5,
        "max_memory": "2G",
        "offline": True,
        "overwrite": True,
    }


@pytest.mark.parametrize("text", ["# nothing\n", "\ufeff# nothing\n"])
def test_an_empty_file(write, text):
    write(text)
    assert options.defaults() == {}


def test_no_file(write, monkeypatch, tmp_path):
    assert options.defaults() == {}
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "absent"))
    assert options.defaults() == {}


def test_where_it_is(write, monkeypatch, tmp_path):
    assert options.config_file() == tmp_path / "cnntool" / "config.toml"
    monkeypatch.setenv("XDG_CONFIG_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "home"))
    assert options.config_file() == tmp_path / "home" / ".config" / "cnntool" / "config.toml"
    monkeypatch.setenv("CNNTOOL_CONFIG", "other.toml")
    assert str(options.config_file()) == "other.toml"


def test_the_environment_names_another_file(write, monkeypatch, tmp_path):
    write("threads = 3\n")
    (tmp_path / "other.toml").write_text("threads = 4\n")
    monkeypatch.setenv("CNNTOOL_CONFIG", str(tmp_path / "other.toml"))
    assert options.defaults() == {"threads": 4}
    monkeypatch.setenv("CNNTOOL_CONFIG", str(tmp_path / "absent.toml"))
    with pytest.raises(UsageError, match="no such file") as caught:
        options.defaults()
    assert caught.value.hint == "CNNTOOL_CONFIG names it"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("modle = 'x'", "modle is not a known key (did you mean model?)"),
        ("[models]\nx = 1", "models is not a known key"),
        ("model = 3", "model is not a line of text"),
        ("model = ''", "model is not a line of text"),
        ("device = true", "device is not a line of text"),
        ("threads = 0", "threads is 0, not in 1..1024"),
        ("threads = '2'", "threads is '2', not a whole number"),
        ("threads = 2.0", "threads is 2.0, not a whole number"),
        ("timeout = 0", "timeout is 0, not above 0"),
        ("timeout = inf", "timeout is inf, not a finite number"),
        ("max_memory = 1.5", "max_memory is 1.5, not a whole number"),
        ("offline = 1", "offline is neither true nor false"),
        ("offline", "no valid TOML: "),
        ("threads = 1\nthreads = 2", "no valid TOML: "),
    ],
)
def test_what_is_wrong_is_said_with_the_file_and_the_key(write, tmp_path, text, reason):
    write(text)
    with pytest.raises(UsageError) as caught:
        options.defaults()
    assert caught.value.source == str(tmp_path / "cnntool" / "config.toml")
    assert caught.value.message.startswith(reason)
    assert "\n" not in str(caught.value)


def test_a_folder_is_no_file(write, monkeypatch, tmp_path):
    monkeypatch.setenv("CNNTOOL_CONFIG", str(tmp_path))
    with pytest.raises(UsageError, match="is a directory"):
        options.defaults()


@pytest.mark.parametrize(
    ("stated", "meant"),
    [
        ("vgg16", "vgg16"),
        ("nets/x.onnx", "{}/cnntool/nets/x.onnx"),
        ("x.onnx", "{}/cnntool/x.onnx"),
        ("/a/x.onnx", "/a/x.onnx"),
        ("~/x.onnx", "{}/x.onnx"),
    ],
)
def test_a_path_counts_from_the_folder_of_the_file(write, monkeypatch, tmp_path, stated, meant):
    monkeypatch.setenv("HOME", str(tmp_path))
    write(f'model = "{stated}"\n')
    assert options.defaults()["model"] == meant.format(tmp_path)


@click.command()
@model_option
@click.option(
    "--threads", type=click.IntRange(1, 8), envvar="CNNTOOL_THREADS", callback=options.default
)
@click.option("--offline", is_flag=True, envvar="X_OFFLINE", callback=options.default)
@click.option("--max-memory", type=click.Choice(["1G", "2G"]), callback=options.default)
def command(**settings):
    return settings


def settle(*arguments):
    return command.main(list(arguments), standalone_mode=False)


def test_the_order_of_settings(write, monkeypatch):
    assert settle() == {"model": "vgg16-mini", "threads": None, "offline": False,
                        "max_memory": None}  # fmt: skip
    write(EVERYTHING)
    assert settle() == {"model": "vgg16", "threads": 3, "offline": True, "max_memory": "2G"}
    monkeypatch.setenv("CNNTOOL_MODEL", "vgg19")
    monkeypatch.setenv("CNNTOOL_THREADS", "5")
    monkeypatch.setenv("X_OFFLINE", "0")
    assert settle() == {"model": "vgg19", "threads": 5, "offline": False, "max_memory": "2G"}
    found = settle("-m", "x.onnx", "--threads", "1", "--offline", "--max-memory", "1G")
    assert found == {"model": "x.onnx", "threads": 1, "offline": True, "max_memory": "1G"}


def test_the_option_reads_the_text(write, tmp_path):
    write("threads = 9\n")
    with pytest.raises(UsageError) as caught:
        settle()
    assert caught.value.source == str(tmp_path / "cnntool" / "config.toml")
    assert caught.value.message.startswith("threads: 9 is not in the range")


def test_the_file_is_not_read_where_it_does_not_matter(write):
    write("this is no TOML")
    assert settle("-m", "a", "--threads", "1", "--offline", "--max-memory", "1G")["model"] == "a"
    with pytest.raises(UsageError):
        settle("-m", "a", "--threads", "1", "--offline")
    assert settle("--help") == 0


def test_the_help_names_the_variable_and_the_default(capsys):
    settle("--help")
    text = " ".join(capsys.readouterr().out.split())
    assert "-m, --model NAME|FILE" in text
    assert "CNNTOOL_MODEL" in text
    assert "[env var: CNNTOOL_MODEL; default: vgg16-mini]" in text


def test_without_a_file_nothing_is_imported(write):
    import subprocess

    code = "import sys; from cnntool.cli import options; assert options.defaults() == {};"
    code += "print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert not {"tomllib", "platformdirs", "numpy", "cnntool.nets.models.strict_toml"} & loaded


# Replacing files, decided once and for all

SECOND_RUNS = [
    ["filter", "-k", "box", "m.csv", "-o", "r.csv"],
    ["pool", "--max", "1", "m.csv", "-o", "r.csv"],
    ["im2col", "m.csv", "-k", "1", "-o", "r.csv"],
    ["matrix", "-k", "1", "--input-size", "2", "-o", "r.csv"],
    ["trace", "m.csv", "-k", "1", "--at", "0,0", "-o", "r.png"],
    ["kernels", "show", "box", "--response", "r.png"],
    ["weights", "-q", "--raw", "npy", "-o", "r.npy"],
    ["activations", "-q", "--layer", "block1_conv1", str(SAMPLES / "cat.png"), "-o", "r.png"],
]


@pytest.fixture
def prepared(here, write, tmp_path, monkeypatch):
    monkeypatch.delenv("CNNTOOL_OVERWRITE", raising=False)
    (tmp_path / "m.csv").write_text("1,2\n3,4\n")
    return here


@pytest.mark.full
@pytest.mark.parametrize("arguments", SECOND_RUNS, ids=lambda arguments: arguments[0])
def test_every_command_that_writes_may_be_told_to_replace(
    prepared, write, tmp_path, monkeypatch, arguments
):
    result = tmp_path / arguments[-1]
    result.write_text("precious")
    assert "--overwrite replaces it, CNNTOOL_OVERWRITE=1" in prepared(*arguments, code=6).err
    assert result.read_text() == "precious"
    monkeypatch.setenv("CNNTOOL_OVERWRITE", "1")
    prepared(*arguments)
    assert result.read_bytes() != b"precious"


def test_the_order_in_which_replacing_is_settled(prepared, write, monkeypatch):
    arguments = SECOND_RUNS[0]
    prepared(*arguments)
    write("overwrite = true\n")
    prepared(*arguments)
    prepared(*arguments, "--no-overwrite", code=6)
    monkeypatch.setenv("CNNTOOL_OVERWRITE", "0")
    prepared(*arguments, code=6)
    prepared(*arguments, "--overwrite")
    monkeypatch.setenv("CNNTOOL_OVERWRITE", "1")
    prepared(*arguments)
    prepared(*arguments, "--no-overwrite", code=6)
    monkeypatch.setenv("CNNTOOL_OVERWRITE", "maybe")
    assert "CNNTOOL_OVERWRITE" in prepared(*arguments, code=2).err
