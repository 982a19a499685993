import json

import numpy as np
import pytest
from PIL import Image

from cnntool.api.kernels import ENTRIES

NAMES = list(ENTRIES)


def test_the_list_has_a_line_for_each(cnntool):
    lines = [line.split("\t") for line in cnntool("kernels").text.splitlines()]
    assert [line[0] for line in lines] == NAMES
    assert all(len(line) == 4 for line in lines)
    assert ["gaussian", "smoothing", "sigma=auto,size=auto"] in [line[:3] for line in lines]
    assert cnntool("kernels", "list").text == cnntool("kernels").text


def test_the_list_as_json(cnntool):
    records = [json.loads(line) for line in cnntool("kernels", "list", "--json").text.splitlines()]
    assert [record["name"] for record in records] == NAMES
    assert set(records[0]) == {"name", "kind", "parameters", "summary"}


@pytest.mark.parametrize("entry", ENTRIES.values(), ids=NAMES)
def test_what_the_list_says_can_be_typed(cnntool, fails, entry):
    spec = f"{entry.name}:{entry.signature()}"
    if entry.kind == "non-linear":
        assert "no convolution" in fails(2, "kernels", "show", spec)
    else:
        assert cnntool("kernels", "show", spec).text == cnntool("kernels", "show", entry.name).text


def test_show_a_custom_kernel_as_json(cnntool, tmp_path):
    (tmp_path / "k.csv").write_text("1,2\n2,4\n")
    record = json.loads(cnntool("kernels", "show", "@k.csv", "--json").text)
    assert record["kernel"] == "@k.csv"
    assert record["combine"] == "single"
    (kernel,) = record["kernels"]
    assert kernel["factors"] == [{"column": [1, 2], "row": [1, 2]}]
    assert kernel["singular_values"] == pytest.approx([5, 0])
    assert kernel.pop("rank_errors") == [0]
    assert kernel.pop("response") == {"constant": 9, "rows": 3, "columns": 3, "checkerboard": 1}
    del kernel["factors"], kernel["singular_values"]
    assert kernel == {
        "shape": [2, 2],
        "weights": [[1, 2], [2, 4]],
        "sum": 9,
        "rank": 1,
        "multiplies": 4,
        "multiplies_separable": 4,
    }


def test_show_draws_signs_and_sizes(cnntool):
    assert cnntool("kernels", "show", "1,0,-2").text == (
        " 1   0  -2\n"
        "size       1 row x 3 columns\n"
        "sum        -1\n"
        "rank       1 (singular values 2.236)\n"
        "multiplies 3 a pixel direct, 4 as 1 column and row pass\n"
        "column     1\n"
        "row        1, 0, -2\n"
        "▒▒  -█\n"
    )


def test_a_pair_is_shown_one_after_the_other(cnntool):
    text = cnntool("kernels", "show", "sobel").text
    assert text.count("rank       1") == 2
    assert text.startswith("kernel 1 of 2, combined by magnitude\n")


def test_a_large_kernel_shows_its_corner(cnntool):
    text = cnntool("kernels", "show", "box:99").text
    assert "(the first 15 rows and 15 columns)" in text
    assert "99 rows x 99 columns" in text
    assert max(map(len, text.splitlines())) < 200


def test_the_list_in_a_pipe_is_separated_by_tabs(here):
    line = "sobel-x\tderivative\t\tSobel along columns: 1,0,-1;2,0,-2;1,0,-1."
    assert line in here("kernels").text.splitlines()


def test_a_weight_too_small_to_draw_has_no_sign(here):
    assert here("kernels", "show", "1,-0.01,-1").text.splitlines()[-1] == "██  -█"


def test_debug_may_stand_before_the_subcommand(here):
    done = here("kernels", "--debug", "show", "bogus", code=2)
    assert "Traceback" in done.err
    assert "no kernel is called 'bogus'" in done.err
    assert "Traceback" not in here("kernels", "show", "bogus", code=2).err


def test_a_matrix_that_begins_with_a_minus_sign_is_no_option(here):
    assert here("kernels", "show", "-1,.5;-.5,1").text.startswith("  -1   0.5\n-0.5     1\n")
    assert "No such option" in here("kernels", "show", "--jsn", "sobel", code=2).err


def test_n24_sobel_is_separable(here):
    record = json.loads(here("kernels", "show", "sobel-x", "--json").text)
    (kernel,) = record["kernels"]
    np.testing.assert_allclose(kernel["singular_values"], [3.464, 0, 0], atol=5e-4)
    assert kernel["rank"] == 1
    assert kernel["factors"] == [{"column": [1, 2, 1], "row": [1, 0, -1]}]
    assert (kernel["multiplies"], kernel["multiplies_separable"]) == (9, 6)
    assert kernel["rank_errors"] == [0]


def test_what_a_nearly_separable_kernel_loses(here):
    # 3, 4 and 0 are the singular values: rank 1 keeps the 4 and loses 3 of 5.
    text = here("kernels", "show", "0,4,0;3,0,0;0,0,0").text
    assert text.splitlines()[3:] == [
        "size       3 rows x 3 columns",
        "sum        7",
        "rank       2 (singular values 4, 3, 0)",
        "multiplies 9 a pixel direct, 12 as 2 column and row passes",
        "loss       rank 1 60 %, rank 2 0",
        "column 1   2, 0, 0",
        "row 1      0, 2, 0",
        "column 2   0, 1.732, 0",
        "row 2      1.732, 0, 0",
        "  ██  ",
        "▓▓    ",
        "      ",
    ]


@pytest.mark.parametrize("spec", ["log:sigma=1.5", "laplacian", "1,2;3,4", "motion"])
def test_pairs_add_up_and_losses_are_those_of_their_sums(here, spec):
    (kernel,) = json.loads(here("kernels", "show", spec, "--json").text)["kernels"]
    weights, near = np.array(kernel["weights"]), 0
    assert len(kernel["rank_errors"]) == kernel["rank"]
    for pair, error in zip(kernel["factors"], kernel["rank_errors"], strict=True):
        near = near + np.outer(pair["column"], pair["row"])
        found = np.linalg.norm(weights - near) / np.linalg.norm(weights)
        assert found == pytest.approx(error, abs=1e-9)
        if kernel["rank"] > 1:
            assert max(pair["row"], key=abs) > 0


def test_a_kernel_of_high_rank_shows_its_first_pairs(here):
    rows = ";".join(",".join("1" if r == c else "0" for c in range(20)) for r in range(20))
    text = here("kernels", "show", rows).text
    assert "(the first 3 of 20 columns and rows)" in text
    assert "rank 15 50 %, ..." in text
    assert "column 4" not in text


def test_a_kernel_of_zeros(here):
    text = here("kernels", "show", "0,0;0,0").text
    assert "rank       0" in text
    assert "loss" not in text
    (kernel,) = json.loads(here("kernels", "show", "0,0;0,0", "--json").text)["kernels"]
    assert kernel["rank_errors"] == []


@pytest.mark.full
def test_the_response_is_drawn_and_told(here, tmp_path):
    plain = here("kernels", "show", "laplacian").text
    text = here("kernels", "show", "laplacian", "--response", "r.png").text
    assert text.startswith(plain)
    more = text.removeprefix(plain).splitlines()
    assert more[0] == (
        "response   0 of a constant, 4 of alternating rows, 4 of alternating columns,"
        " 8 of a checkerboard"
    )
    assert len(more) == 18
    assert more[9][16:18] == "  "
    assert more[1][:2] == "██"
    with Image.open(tmp_path / "r.png") as picture:
        one = picture.size
    record = json.loads(
        here("kernels", "show", "kirsch", "--response", "r.png", "--overwrite", "--json").text
    )
    assert len(record["kernels"]) == 8
    with Image.open(tmp_path / "r.png") as picture:
        assert picture.size == (4 * one[0], 2 * one[1])


def test_a_response_is_titled_with_its_parameters(here, tmp_path):
    here("kernels", "show", "gaussian:sigma=2", "--response", "r.svg")
    svg = (tmp_path / "r.svg").read_bytes()
    assert b">gaussian</text>" in svg
    assert b">sigma=2</text>" in svg
    here("kernels", "show", "box", "--response", "usual.svg")
    assert b">size=3</text>" in (tmp_path / "usual.svg").read_bytes()


def test_a_response_needs_a_file_of_its_own(here, tmp_path):
    (tmp_path / "r.png").write_text("precious")
    done = here("kernels", "show", "box", "--response", "r.png", code=6)
    assert "--overwrite replaces it" in done.err
    assert (tmp_path / "r.png").read_text() == "precious"
    for name, reason in (("-", "needs a file"), ("r.jpg", "r.jpg: a response is drawn as FILE")):
        assert reason in here("kernels", "show", "box", "--response", name, code=2).err


def test_titles_tell_the_parameters_that_there_are():
    from cnntool.api.kernels import with_parameters

    assert with_parameters(" Sobel-X ") == " Sobel-X "
    assert with_parameters("gaussian").startswith("gaussian:sigma=")
    assert with_parameters("gaussian:sigma=3") == "gaussian:sigma=3"
