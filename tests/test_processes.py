"""Work in copies of this process: results, errors, deaths; what it undoes is its own."""

import subprocess
import sys
import textwrap

import pytest

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="fork on Linux only")


def run(script):
    """Run a script in a process of its own: the tests' own one has threads."""
    start = "from cnntool import processes, system; system.take_over(); import os, sys, time\n"
    ignored = "ignore::DeprecationWarning"  # from 3.12 on, of a copy that replaces another
    call = [sys.executable, "-W", "error", "-W", ignored, "-c", start + textwrap.dedent(script)]
    return subprocess.run(call, capture_output=True, text=True, timeout=60, check=False)


def test_results_errors_and_deaths_arrive_where_they_are_due():
    done = run("""
        from cnntool.errors import InputError
        from cnntool.threads import ordered_map

        def work(number, word):
            if number == 3:
                raise InputError("bad", source="x.png", hint="none")
            if number == 5:
                os.kill(os.getpid(), 9)
            if number == 7:
                os._exit(4)
            return number * number, word, os.getpid()

        def told(number):  # three at once
            for result, error in copies([(one, "word") for one in range(number, number + 3)]):
                if isinstance(error, InputError):
                    yield str(error), error.hint
                elif isinstance(error, processes.DiedError):
                    yield str(error)
                else:
                    square, word, who = result
                    assert word == "word" and who != os.getpid() and error is None
                    yield square

        assert processes.can_copy()
        with processes.Copies(work, 2) as copies:
            print(*sum(ordered_map(lambda one: [*told(one)], range(0, 9, 3), 2), []), sep=";")
        try:
            os.wait()
        except ChildProcessError:
            print("nobody is left")
    """)
    told, end = done.stdout.splitlines()
    assert told.split(";") == [
        "0",
        "1",
        "4",
        "('x.png: bad', 'none')",
        "16",
        "signal 9, Killed",
        "36",
        "exit code 4",
        "64",
    ]
    assert (end, done.stderr) == ("nobody is left", "")


def test_who_is_stopped_ends_its_copies_which_undo_what_they_have_begun(tmp_path):
    done = run(f"""
        def work():
            (path := __import__("pathlib").Path({str(tmp_path / "half")!r})).touch()
            system.on_stop(path.unlink)
            os.kill(os.getppid(), 2)
            time.sleep(30)

        system.on_stop(lambda: os.write(1, b"undone once"))
        with processes.Copies(work, 1) as copies:
            copies([()])
    """)
    assert (done.returncode, done.stdout) == (130, "undone once")
    assert done.stderr == "cnntool: error: interrupted\n"
    assert not list(tmp_path.iterdir())


def test_copies_end_when_nobody_asks_any_more():
    done = run("""
        copies = processes.Copies(abs, 3)
        print(copies([(-3,)]), flush=True)
        os.kill(os.getpid(), 9)
    """)
    assert (done.returncode, done.stdout) == (-9, "[(3, None)]\n")  # they have let go of stdout


def test_guests_and_processes_with_threads_are_not_copied():
    done = run("""
        import threading
        system._own = False
        print(processes.can_copy())
        system._own = True
        threading.Thread(target=time.sleep, args=[0.5], daemon=True).start()
        print(processes.can_copy())
    """)
    assert done.stdout == "False\nFalse\n"
