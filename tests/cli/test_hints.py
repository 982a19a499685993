"""What people type in place of what was meant, and what they are told."""

import pytest
from PIL import Image


@pytest.fixture
def told(here, tmp_path):
    """Return the lines of an error."""
    Image.new("L", (4, 3), 200).save(tmp_path / "p.png")
    (tmp_path / "empty").mkdir()
    (tmp_path / "deep" / "er").mkdir(parents=True)

    def call(*arguments, code=2):
        done = here(*arguments, code=code)
        assert done.out == b""
        return done.err.splitlines()

    return call


@pytest.mark.parametrize(
    ("arguments", "lines"),
    [
        (
            ["sobel", "p.png"],
            "no command is called 'sobel' (did you mean cnntool filter -k sobel?)",
        ),
        (["blur", "p.png"], "no command is called 'blur' (did you mean cnntool filter -k blur?)"),
        (["fliter"], "no command is called 'fliter' (did you mean filter?)"),
        (["qqq"], "no command is called 'qqq'"),
        (["kernels", "sobel"], "did you mean 'cnntool kernels show sobel'?"),
        (["kernels", "box:5"], "did you mean 'cnntool kernels show box:5'?"),
        (["filter", "-k", "sobel:3", "p.png"], "sobel takes no parameters: '3'"),
        (["filter", "-k", "sobel", "p.png", "--mix", "1,2"], "channels of the input: 1"),
        (["filter", "-k", "box", "p.png", "--border", "edge"], "'edge' is called 'replicate' here"),
        (["pool", "--max", "2", "p.png", "-o"], "Option '-o' requires an argument."),
        (["classify", "--device", "gpu", "p.png"], "(say which: cuda, "),
        (
            ["filter", "--figure", "-k", "box", "p.png", "-o", "f.npy"],
            "--figure draws a picture, and .npy holds numbers",
        ),
    ],
)
def test_errors(told, arguments, lines):
    assert lines in told(*arguments)[0]


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["filter", "p.png"], "-k sobel; 'cnntool kernels' lists the names"),
        (["filter", "gaussian:2", "p.png"], "-k gaussian:2"),
        (["filter", "-k", "gaussian=2", "p.png"], "parameters follow a colon: gaussian:2"),
        (["filter", "-k", "gaussian(1.5)", "p.png"], "parameters follow a colon: gaussian:1.5"),
        (["filter", "-k", "box5", "p.png"], "parameters follow a colon: box:5"),
        (["filter", "-k", "[[1,2],[3,4]]", "p.png"], "a matrix is written 0,1,0;1,-4,1;0,1,0"),
        (["filter", "-k"], "see 'cnntool filter --help'"),
        (["activations", "--layer"], "see 'cnntool activations --help'"),
    ],
)
def test_hints(told, arguments, hint):
    assert told(*arguments)[1] == f"cnntool: hint: {hint}"


@pytest.mark.parametrize(
    "arguments",
    [["filter", "-k", "box", "p.png", "--log"], ["activations", "--report"], ["diff", "--html"]],
)
def test_files_are_no_streams(told, tmp_path, arguments):
    assert told(*arguments, "-")[0].endswith("'-' is no file; one of that name is ./-")
    assert not (tmp_path / "-").exists()


@pytest.mark.parametrize("border", ["zero", "reflect", "symmetric", "replicate", "wrap"])
def test_every_border_is_taken(here, border):
    here("filter", "-k", "box", "--border", border, stdin=b"1,2\n3,4\n")
    here("trace", "-k", "box", "--border", border, "--at", "0,0", stdin=b"1,2\n3,4\n")


def test_sizes_of_kernels_are_written_in_two_ways_and_those_of_pictures_in_one(here, told):
    matrix = b"1,2,3,4\n5,6,7,8\n"
    sizes = ("1,2", "1x2", "1X2")
    assert len({here("im2col", "--kernel-size", s, stdin=matrix).text for s in sizes}) == 1
    assert "'40x30' is not a positive number" in told("resize", "--size", "40x30", "p.png")[0]


def test_only_a_folder_with_folders_is_worth_looking_into(told):
    assert told("filter", "-k", "box", "empty", code=3) == [
        "cnntool: error: empty: no pictures or matrices in this folder"
    ]
    assert told("filter", "-k", "box", "deep", code=3)[1].startswith("cnntool: hint: --recursive")


def test_a_picture_is_no_table_of_classes(told):
    (line,) = told("evaluate", "p.png", code=3)
    assert line == "cnntool: error: p.png: this is no table of pictures and their classes"


def test_a_hint_is_said_once(here, tmp_path):
    for name in "ab":
        Image.new("L", (4, 3)).save(tmp_path / f"{name}.png")
        (tmp_path / f"{name}.box.png").touch()
    errors = [f"cnntool: error: {name}.box.png: it exists already" for name in "ab"]
    told = here("filter", "-k", "box", "a.png", "b.png", code=1).err.splitlines()
    assert told[::2] == errors
    assert told[1:-1] == ["cnntool: hint: --overwrite replaces it, CNNTOOL_OVERWRITE=1 always does"]


def test_a_second_name_is_an_input_too(here, tmp_path):
    Image.new("L", (4, 3)).save(tmp_path / "p.png")
    told = here("filter", "-k", "box", "p.png", "blurred.png", code=1).err.splitlines()
    assert told == [
        "cnntool: note: blurred.png: it is read, too; what is written is named by --output",
        "cnntool: error: blurred.png: no such file",
    ]
