import json

import pytest

from cnntool.filters.spec import entries

NAMES = [entry.name for entry in entries()]


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


@pytest.mark.parametrize("entry", entries(), ids=NAMES)
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
