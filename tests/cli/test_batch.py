"""Many inputs: side by side or one by one, the same bytes, records and lines in the same order."""

import gc
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import tracemalloc
from operator import length_hint
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from small import picture_net

from cnntool.cli.inputs import Batch, Done, Naming, Place
from cnntool.cli.options import ReadingOptions
from cnntool.image.files import expand
from cnntool.nets.models.manifest import shipped_models


@pytest.fixture
def folder(tmp_path):
    """Pictures of several sizes and kinds, one of them a film, and two that are none."""
    rng = np.random.default_rng(0)
    (tmp_path / "in").mkdir()
    for number, (height, width) in enumerate([(90, 120), (20, 30), (90, 120), (5, 300), (64, 64)]):
        pixels = rng.integers(0, 256, (height, width, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / "in" / f"{number}.png")
        Image.fromarray(pixels).save(tmp_path / "in" / f"{number}b.jpg")
    film = [Image.new("L", (40, 30), shade) for shade in (20, 200)]
    film[0].save(tmp_path / "in" / "3c.gif", save_all=True, append_images=film[1:])
    (tmp_path / "in" / "0.jpg").write_text("none")
    (tmp_path / "in" / "4c.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    return tmp_path / "in"


@pytest.mark.parametrize(
    "verb",
    [
        ["filter", "-k", "gaussian:sigma=1", "-k", "sobel"],
        ["pool", "--max", "2"],
        ["resize", "--scale", "1/2"],
    ],
)
def test_jobs_change_nothing(here, folder, tmp_path, verb):
    told = []
    for jobs in ("1", "2", "5"):
        out = tmp_path / f"out{jobs}"
        done = here(*verb, folder, "-o", f"{out}/", "--json", "--jobs", jobs, code=1)
        records = [json.loads(line) for line in done.text.splitlines()]
        for record in records:
            del record["milliseconds"]
            record["output"] = record["output"].replace(str(out), "")
        files = {path.name: path.read_bytes() for path in out.iterdir()}
        told.append((records, done.err, files))
    assert told[0] == told[1] == told[2]
    records, err, files = told[0]
    assert len(records) == len(files) == 11
    assert [record["input"] for record in records] == sorted(r["input"] for r in records)
    assert (err.count("error:"), err.count("note:")) == (2, 1)
    assert "0.jpg" in err.splitlines()[0]


def test_pictures_are_worked_on_side_by_side_within_the_pixels_of_one(folder):
    """Five of 90x120 are 54,000; of the largest two more than 25,000 are never under way."""
    most, lock = 25_000, threading.Lock()
    under_way, seen, lanes = [], [], set()

    def work(opened, place, threads):
        with lock:
            under_way.append(opened.pixels)
            seen.append(list(under_way))
            lanes.add(threads)
        time.sleep(0.01)
        with lock:
            under_way.remove(opened.pixels)
        return Done(None)

    with Batch(expand([folder], recursive=False), ReadingOptions(max_pixels=most)) as batch:
        naming = Naming("out/", "", several=True)
        how = {"threads": 4, "jobs": 3, "as_json": False}
        begin = Place("png", Path("x.png"), left=False)
        assert batch.each(lambda _: begin, work, naming, "waiting", **how) == 1
    assert max(map(sum, seen)) <= most
    assert max(map(len, seen)) == 3
    assert lanes == {1, 2}


on_linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="fork on Linux only")

ALONE = """
import os, sys, time
from cnntool.image.atomic import Output
commit = Output.commit
def watched(output):
    {watch}
    commit(output)
Output.commit = watched
from cnntool.__main__ import main
main()
"""


@pytest.fixture
def alone(folder, tmp_path):
    """Filter a folder of many in a process of its own, and watch what is about to appear."""
    for number in range(12):
        shutil.copy(folder / f"{number % 5}b.jpg", folder / f"{number:02}-.jpg")
    whole = (folder / "0b.jpg").read_bytes()
    (folder / "0c.jpg").write_bytes(whole[: len(whole) // 2] + b"\xff\xd9")

    def start(*more, watch="pass", **how):
        script = ALONE.format(watch=watch)
        call = ["filter", "-k", "sobel", str(folder), "-o", f"{tmp_path}/out/", "--overwrite"]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen([sys.executable, "-c", script, *call, *more], **pipes, **how)

    return start


def temporary(folder):
    return list(folder.glob(".*.tmp"))


def ended(process):
    """Wait until a process and all that hold its pipes have ended."""
    out, err = process.communicate(timeout=60)
    return process.returncode, out.decode(), err.decode()


@on_linux
def test_processes_change_nothing(alone, tmp_path):
    """Not one record, note, error or byte, nor the log."""
    told = []
    watch = "output.name.endswith('png') and os.write(2, b'<%d>' % os.getpid())"
    for jobs in ("1", "3"):
        more = ["--json", "--jobs", jobs, "--log", str(tmp_path / f"{jobs}.jsonl")]
        code, out, err = ended(alone(*more, watch=watch))
        records = [json.loads(line) for line in out.splitlines()]
        for record in records:
            del record["milliseconds"]
        who = set(re.findall(r"<\d+>", err))
        assert len(who) == int(jobs)
        err = re.sub(r"<\d+>|, [\d.]+ a second", "", err)
        told.append((code, records, err, kept(tmp_path), untimed(tmp_path / f"{jobs}.jsonl")[1:]))
    assert told[0] == told[1]
    code, records, err, files, _ = told[0]
    assert (code, len(records), len(files)) == (1, 24, 24)
    assert (err.count("error:"), err.count("note:")) == (2, 3)  # a film, damage, the summary


@on_linux
def test_a_picture_that_kills_its_process_is_an_error_of_its_own(alone, tmp_path):
    watch = "if output.name.endswith(('03-.png', '08-.png')): os.kill(os.getpid(), 9)"
    code, out, err = ended(alone("--jobs", "2", "--log", str(tmp_path / "log.jsonl"), watch=watch))
    errors = [line for line in err.splitlines() if "died" in line]
    assert (code, len(errors), len(out.splitlines())) == (1, 2, 22)
    assert "in/03-.jpg: the process that worked on it has died (signal 9" in errors[0]
    assert "--jobs 1" in err
    assert "22 done, 0 skipped, 4 failed" in err
    assert [line["code"] for line in lines_of(tmp_path / "log.jsonl")[1:]].count(1) == 2


@on_linux
@pytest.mark.parametrize("group", [True, False], ids=["terminal", "kill"])
def test_ctrl_c_ends_all_processes_and_leaves_nothing(alone, tmp_path, group):
    watch = "if output.name.endswith('00-.png'): open(output.name, 'w').close(); time.sleep(30)"
    process = alone("--jobs", "2", watch=watch, start_new_session=True)
    while not (tmp_path / "out" / "00-.png").exists():
        time.sleep(0.01)
    assert temporary(tmp_path / "out")
    begun = time.monotonic()
    (os.killpg if group else os.kill)(process.pid, signal.SIGINT)
    code, _, err = ended(process)
    assert (code, err.splitlines()[-1]) == (130, "cnntool: error: interrupted")
    assert err.count("interrupted") == 1
    assert time.monotonic() - begun < 10
    assert not temporary(tmp_path / "out")


def lines_of(log):
    return [json.loads(line) for line in log.read_text().splitlines()]


def untimed(log):
    """A log without what every run has of its own: times, and when a result was written."""
    lines = lines_of(log)
    for line in lines[1:]:
        line["written"] = line["written"] and line["written"][0]
        if line["result"]:
            del line["result"]["milliseconds"]
    return lines


@pytest.fixture
def batch(here, folder, tmp_path):
    """Filter the folder with a log, and return what was told of the batch at its end."""

    def call(*more, kernel="sobel", code=1):
        where = ["-o", f"{tmp_path}/out/", "--log", tmp_path / "log.jsonl"]
        done = here("filter", "-k", kernel, folder, *where, *more, code=code)
        return done.err.splitlines()[-1].removeprefix("cnntool: note: ").rpartition(",")[0]

    return call


def kept(tmp_path):
    return {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}


def test_a_log_has_a_line_for_each_input(batch, tmp_path):
    assert batch() == "11 done, 0 skipped, 2 failed"
    first, *lines = lines_of(tmp_path / "log.jsonl")
    assert (first["command"], first["options"]["kernels"]) == ("filter", ["sobel"])
    bad = [line for line in lines if line["code"]]
    assert [line["code"] for line in bad] == [3, 3]
    assert all("4c.png" in line["error"] or "0.jpg" in line["error"] for line in bad)
    assert len({line["input"] for line in lines}) == 13
    assert "goes on from it" in batch(code=6)


@pytest.mark.parametrize("verb", [("filter", "-k", "box", "-o", "out/"), ("classify",)])
def test_many_are_summed_up_without_a_log_too(here, tmp_path, verb):
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(15):
        Image.new("L", (9, 9)).save(folder / f"{number}.png")
    assert here(*verb, folder).err == ""
    (folder / "bad.png").write_text("none")
    told = here(*verb, folder, "--overwrite", code=1).err.splitlines()
    assert told[-1].startswith("cnntool: note: 15 done, 0 skipped, 1 failed, ")
    assert len(here(*verb, folder, "--overwrite", "-q", code=1).err.splitlines()) == 1


def test_plans_are_not_summed_up(here, tmp_path):
    for number in range(16):
        Image.new("L", (9, 9)).save(tmp_path / f"{number}.png")
    assert here("filter", "-k", "box", "--explain", tmp_path).err == ""


def cut(path):
    """Tear the log where a killed process may leave it: in the line after the fifth input."""
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:6]) + lines[6][: len(lines[6]) // 2])
    return [json.loads(line)["output"] for line in lines[6:]]


def test_a_second_run_does_what_is_missing(batch, tmp_path):
    batch()
    files, log = kept(tmp_path), untimed(tmp_path / "log.jsonl")
    for output in filter(None, cut(tmp_path / "log.jsonl")):
        (tmp_path / "out" / output).unlink()
    assert batch("--resume") == "7 done, 4 skipped, 2 failed"
    assert kept(tmp_path) == files
    assert untimed(tmp_path / "log.jsonl") == log
    assert batch("--resume") == "0 done, 11 skipped, 2 failed"
    assert untimed(tmp_path / "log.jsonl") == log


def test_what_was_begun_may_be_replaced_and_nothing_else(batch, tmp_path):
    batch()
    files = kept(tmp_path)
    outputs = [one for one in cut(tmp_path / "log.jsonl") if one]
    with (tmp_path / "log.jsonl").open("ab") as log:
        log.write(b"\n" + json.dumps({"begin": outputs[0]}).encode() + b"\n")
    (tmp_path / "out" / outputs[0]).write_text("half")
    assert batch("--resume") == "1 done, 4 skipped, 8 failed"
    assert kept(tmp_path) == files
    assert batch("--resume", "--overwrite") == "6 done, 5 skipped, 2 failed"


def test_a_line_that_was_cut_by_hand_counts_for_nothing(batch, tmp_path):
    batch()
    log = tmp_path / "log.jsonl"
    header, *lines = lines_of(log)
    for line in lines:
        line.pop("stamp")
    log.write_text("".join(f"{json.dumps(line)}\n" for line in (header, *lines)))
    assert batch("--resume", "--overwrite") == "11 done, 0 skipped, 2 failed"


def touched(path):
    path.write_bytes(path.read_bytes())
    os.utime(path, (1, 1))


def test_an_input_or_result_that_has_changed_is_done_again(batch, folder, tmp_path):
    batch()
    files = kept(tmp_path)
    touched(folder / "1.png")
    (tmp_path / "out" / "2.png").unlink()
    assert batch("--resume") == "2 done, 9 skipped, 2 failed"
    (tmp_path / "out" / "3.png").write_text("somebody else's")
    assert batch("--resume") == "0 done, 10 skipped, 3 failed"
    assert batch("--resume", "--overwrite") == "1 done, 10 skipped, 2 failed"
    assert kept(tmp_path) == files


def test_other_options_versions_and_kernel_files_do_all_again(batch, tmp_path, monkeypatch):
    batch()
    files = kept(tmp_path)
    assert batch("--resume", kernel="box:3") == "11 done, 0 skipped, 2 failed"
    assert batch("--resume", kernel="sobel") == "11 done, 0 skipped, 2 failed"
    assert batch("--resume", "--jobs", "1", "--threads", "1") == "0 done, 11 skipped, 2 failed"
    monkeypatch.setattr("cnntool.cli.batch_log.__version__", "0.0.1")
    assert batch("--resume") == "11 done, 0 skipped, 2 failed"
    assert kept(tmp_path) == files
    kernel = tmp_path / "k.csv"
    kernel.write_text("0,1\n2,3\n")
    assert batch("--resume", kernel=f"@{kernel}") == "11 done, 0 skipped, 2 failed"
    assert batch("--resume", kernel=f"@{kernel}") == "0 done, 11 skipped, 2 failed"
    kernel.write_text("0,1\n2,4\n")
    os.utime(kernel, (1, 1))
    assert batch("--resume", kernel=f"@{kernel}") == "11 done, 0 skipped, 2 failed"


def test_names_are_chosen_alike_when_some_are_skipped(batch, folder, tmp_path):
    (folder / "1.jpg").write_bytes((folder / "1b.jpg").read_bytes())
    batch()
    files = kept(tmp_path)
    assert {"1.png", "1.png.png"} <= set(files)
    (tmp_path / "out" / "1.png.png").unlink()
    assert batch("--resume") == "1 done, 11 skipped, 2 failed"
    assert kept(tmp_path) == files


def test_streams_and_strange_files_are_refused(here, samples, tmp_path):
    cat = samples / "cat.png"
    log = ["--log", tmp_path / "log.jsonl"]
    assert "no log to go on from" in here("filter", "-k", "box:3", cat, "--resume", code=2).err
    done = here("filter", "-k", "box:3", cat, "-o", "-", *log, code=2)
    assert "of files, not of streams" in done.err
    (tmp_path / "log.jsonl").write_text("my diary\n")
    done = here("filter", "-k", "box:3", cat, "-o", tmp_path / "x.png", *log, "--resume", code=2)
    assert "this is no log of a batch" in done.err
    done = here("filter", "-k", "box:3", cat, "-o", tmp_path / "log.jsonl", *log, code=2)
    assert "the log and the result are one file" in done.err
    assert (tmp_path / "log.jsonl").read_text() == "my diary\n"


@pytest.mark.parametrize("how", ["--resume", "--overwrite"])
def test_what_is_no_log_stays_as_it_is(here, tmp_path, how):
    for name, text in (("diary.txt", b"no line ends here"), ("a.csv", b"1,2\n")):
        (tmp_path / name).write_bytes(text)
        done = here("filter", "-k", "box", "a.csv", "-o", "x.csv", "--log", name, how, code=2)
        assert done.err == f"cnntool: error: {name}: this is no log of a batch\n"
        assert (tmp_path / name).read_bytes() == text
    assert not (tmp_path / "x.csv").exists()


def test_the_log_of_another_command_is_kept(batch, here, folder, tmp_path):
    batch()
    log, files = (tmp_path / "log.jsonl").read_bytes(), kept(tmp_path)
    places = ["-o", f"{tmp_path}/out/", "--log", tmp_path / "log.jsonl"]
    done = here("resize", "--size", "9", folder, *places, "--resume", code=2)
    assert "log.jsonl: this is the log of 'cnntool filter'" in done.err
    assert ((tmp_path / "log.jsonl").read_bytes(), kept(tmp_path)) == (log, files)


@on_linux
def test_two_runs_do_not_write_one_log(batch, here, tmp_path):
    batch()
    log = (tmp_path / "log.jsonl").read_bytes()
    hold = "import fcntl, sys; f = open(sys.argv[1], 'a'); fcntl.lockf(f, 2); print(flush=True)"
    with subprocess.Popen(
        [sys.executable, "-c", f"{hold}; input()", tmp_path / "log.jsonl"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as other:
        assert other.stdout.readline() == b"\n"
        places = ["-o", f"{tmp_path}/out/", "--log", tmp_path / "log.jsonl"]
        done = here("filter", "-k", "sobel", tmp_path / "in", *places, "--resume", code=6)
        assert done.err.endswith("log.jsonl: another run is writing it\n")
        other.communicate(b"\n")
    assert (tmp_path / "log.jsonl").read_bytes() == log
    assert batch("--resume") == "0 done, 11 skipped, 2 failed"


@pytest.mark.parametrize(
    "verb",
    [
        ["classify", "--json"],
        *(
            pytest.param(verb, marks=pytest.mark.full)
            for verb in (
                ["classify", "--format", "csv", "--batch", "3"],
                ["explain", "--method", "saliency", "-o", "maps/"],
                ["explain", "--json", "-o", "maps/", "--raw", "npy"],
            )
        ),
    ],
    ids=" ".join,
)
def test_networks_go_on_too(here, folder, tmp_path, monkeypatch, verb):
    """Five pictures were done with; stdout and files are those of an undisturbed run."""
    monkeypatch.chdir(tmp_path)
    verb = [*verb, "--log", "log.jsonl"]

    def told(*more):
        text = here(*verb, "in", *more, code=1).text
        found = [json.loads(line) for line in text.splitlines()] if "--json" in verb else text
        for record in found if "--json" in verb else ():
            del record["milliseconds"]
        return found, sorted((path.name, path.read_bytes()) for path in tmp_path.glob("maps/*"))

    whole = told()
    log = untimed(tmp_path / "log.jsonl")
    for output in filter(None, cut(tmp_path / "log.jsonl")):
        (tmp_path / output).unlink()
    assert told("--resume") == whole
    assert untimed(tmp_path / "log.jsonl") == log
    good = [line for line in lines_of(tmp_path / "log.jsonl")[1:] if line["code"] == 0]
    assert told("--resume") == whole
    assert good == [line for line in lines_of(tmp_path / "log.jsonl")[1:] if line["code"] == 0]


@pytest.mark.full
def test_another_manifest_does_all_again(here, folder, tmp_path):
    known = shipped_models() / "vgg16-mini.onnx"
    net = tmp_path / known.name
    shutil.copy(known, net)
    verb = ["classify", "-m", net, folder, "--log", tmp_path / "log.jsonl", "--resume"]
    text, done = known.with_suffix(".toml").read_text(), []
    for more in ("", "", "# the same\n", 'note = "Another."\n'):
        net.with_suffix(".toml").write_text(more + text)
        done.append(here(*verb, code=1).err.splitlines()[-1])
    assert ["11 done, 0 skipped" in line for line in done] == [True, False, False, True]


@pytest.mark.full
def test_a_log_of_answers_is_begun_anew_if_asked(here, folder, tmp_path):
    verb = ["classify", folder, "--log", tmp_path / "log.jsonl"]
    whole = here(*verb, code=1).text
    assert "--overwrite" in here(*verb, code=6).err
    assert here(*verb, "--overwrite", code=1).text == whole


def test_pictures_are_logged_in_their_order_however_many_are_in_flight(here, folder, tmp_path):
    """Bad ones are known of before the good ones before them have an answer, and so are notes."""
    log = tmp_path / "log.jsonl"
    (folder / "3bb.png").write_text("none")  # before a film
    for more in ([], ["--resume"]):
        many = ["--batch", "4", "--jobs", "3"]
        done = here("classify", folder, *many, "--log", log, *more, code=1)
        told = re.findall(r"/in/(\S+): ", done.err)
        assert told == sorted(told)
        assert {"0.jpg", "3bb.png", "4c.png"} <= {*told}
        names = [line["input"] for line in lines_of(log)[1:]]
        assert names == sorted(names)
        if not more:
            cut(log)


def test_pictures_that_networks_make_go_on_too(here, folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    picture_net(tmp_path / "net.onnx")
    verb = [
        "run",
        "-m",
        "net.onnx",
        "--preprocess",
        "raw",
        "in",
        "-o",
        "out/",
        "--log",
        "log.jsonl",
    ]
    names, files = here(*verb, code=1).text, kept(tmp_path)
    for output in filter(None, cut(tmp_path / "log.jsonl")):
        (tmp_path / output).unlink()
    assert here(*verb, "--resume", code=1).text == names
    assert kept(tmp_path) == files
    picture_net(tmp_path / "net.onnx", factor=0.5)
    done = here(*verb, "--resume", code=1)
    assert "11 done, 0 skipped, 2 failed" in done.err


@pytest.mark.parametrize(("option", "end"), [("--files-from", "\n"), ("--files0-from", "\0")])
def test_inputs_may_be_listed_and_keep_their_tree(here, folder, tmp_path, option, end):
    (tmp_path / "other").mkdir()
    (folder / "1.png").rename(tmp_path / "other" / "0.png")
    names = [folder / "0.png", tmp_path / "other" / "0.png"]
    start = "\ufeff" * (end == "\n")  # as Windows' editors do
    (tmp_path / "names").write_text(start + "".join(f"{name}{end}" for name in names) + end)
    done = here("resize", "--scale", "2", option, tmp_path / "names", "-o", f"{tmp_path}/out/")
    assert done.text.splitlines() == [f"{tmp_path}/out/in/0.png", f"{tmp_path}/out/other/0.png"]


def test_lists_that_make_no_sense(here, tmp_path):
    (tmp_path / "names").write_text("\n\n")
    listed = ["--files-from", tmp_path / "names"]
    assert "names no input" in here("filter", "-k", "box:3", *listed, code=2).err
    assert "here or in one list" in here("filter", "-k", "box:3", "a.png", *listed, code=2).err
    both = [*listed, "--files0-from", tmp_path / "names"]
    assert "here or in one list" in here("filter", "-k", "box:3", *both, code=2).err
    gone = ["--files-from", tmp_path / "gone"]
    assert "no such file" in here("filter", "-k", "box:3", *gone, code=3).err


@pytest.fixture
def pair(tmp_path):
    """Files that are called alike in two folders, and one that another one is called after."""
    for name in ("a/x.png", "b/x.png", "a/y.jpg", "c/x.jpg", "c/x.png", "c/x.png.gif", "c/d/x.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (6, 6), len(name)).save(tmp_path / name)
    for name in ("a/m.csv", "b/m.csv"):
        (tmp_path / name).write_text("1,2\n3,4\n")
    return lambda: sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.*"))


@pytest.mark.parametrize(
    ("verb", "inputs"),
    [
        (["filter", "-k", "box:3"], ["a/y.jpg", "a/x.png", "b/x.png", "-o", "out/"]),
        (["filter", "-k", "box:3"], ["a/y.jpg", "a/x.png", "b/x.png"]),
        (["pool", "--max", "2"], ["a/x.png", "b", "-o", "out/"]),
        (["resize", "--scale", "2"], ["-r", "c"]),
        (["explain", "--method", "saliency"], ["a", "b", "-o", "out/"]),
        (["activations"], ["a", "b", "-o", "out/"]),
        (["activations", "--raw", "npz"], ["a", "b"]),
    ],
    ids=str,
)
def test_inputs_of_one_name_are_refused_before_anything_is_written(here, pair, verb, inputs):
    before = pair()
    done = here(*verb, *inputs, "--overwrite", code=6)
    first, second = ("c/d/x.jpg", "c/x.jpg") if "c" in inputs else ("a/x.png", "b/x.png")
    names = {f"{first}: its result would have the name of that of {second}",
             f"{second}: its result would have the name of that of {first}"}  # fmt: skip
    error = next(line for line in done.err.splitlines() if "error" in line)
    assert error.removeprefix("cnntool: error: ") in names
    assert pair() == before


def test_an_input_is_named_once(here, pair, tmp_path):
    (tmp_path / "names").write_text("a/x.png\nb/x.png\na/x.png\n")
    verb = ["filter", "-k", "box:3", "-o", "out/", "--files-from"]
    assert "a/x.png: it is named twice" in here(*verb, "names", code=6).err
    done = here(*verb, "-", stdin=b"a/x.png\nb/x.png\n")
    assert done.text.splitlines() == ["out/a/x.png", "out/b/x.png"]


def test_names_that_differ_in_the_suffix_give_way(here, pair):
    """The last one would have the name that the second one took."""
    verb = ["filter", "-k", "box:3", "--format", "png"]
    names = ["out/x.png", "out/x.png.png", "out/x.png.gif.png"]
    for more in ([], ["--resume"]):
        done = here(*verb, "-o", "out/", "--log", "log.jsonl", *more, "c")
        assert done.text.splitlines() == names
    turned = ["c/x.png.gif", "c/x.jpg", "c/x.png"]
    done = here(*verb, "-o", "out/", "--overwrite", *turned, code=1)
    assert "out/x.png.png: already holds the result of c/x.png.gif" in done.err
    done = here(*verb, *turned, code=1)
    assert "x.box.png: already holds the result of c/x.jpg" in done.err


def test_what_is_printed_may_be_called_alike(here, pair):
    told = here("filter", "-k", "1", "a/m.csv", "b/m.csv").text
    assert told == here("filter", "-k", "1", "a/m.csv").text * 2
    assert here("resize", "--scale", "2", "--format", "csv", "a/x.png", "b/x.png").text
    assert here("filter", "-k", "box:3", "--explain", "a/x.png", "b/x.png", "-o", "out/").text


@pytest.mark.full
def test_many_inputs_take_the_memory_of_their_names(tmp_path):
    count = 2000
    (tmp_path / "in").mkdir()
    for number in range(count):
        (tmp_path / "in" / f"{number:06}.png").touch()

    def kept():
        naming = Naming(f"{tmp_path}/out/", "box", several=True)
        items = naming.items([tmp_path / "in"], recursive=False)
        targets = sum(naming.target(item, ".png", text=False) is not None for item in items)
        assert targets == length_hint(items) == count
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    kept()  # pathlib interns names; the interpreter's table of them grows once
    tracemalloc.start()
    try:
        assert kept() < count * len("000000.png\0") + 20_000
    finally:
        tracemalloc.stop()
