"""In a host's process: no setting of another library is changed, nothing is printed."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from cnntool.errors import InputError
from cnntool.image.files import open_reader

GUEST = """
import ctypes, gc, importlib, io, locale, logging, os, pkgutil, signal, sys, threading, warnings
import numpy as np
from pathlib import Path
from PIL import Image, ImageFile, _imaging

try:
    libtiff = ctypes.CDLL(_imaging.__file__)
    handlers = [libtiff.TIFFSetErrorHandler, libtiff.TIFFSetWarningHandler]
except (OSError, AttributeError):  # linked statically
    handlers = []
for handler in handlers:
    handler.restype, handler.argtypes = ctypes.c_void_p, [ctypes.c_void_p]

def handler_of(set_to):
    now = set_to(None)
    set_to(now)
    return now

def everything():
    return {
        "pixels": Image.MAX_IMAGE_PIXELS,
        "truncated": ImageFile.LOAD_TRUNCATED_IMAGES,
        "libtiff": [handler_of(handler) for handler in handlers],
        "gc": (gc.isenabled(), gc.get_freeze_count(), gc.get_threshold(), list(gc.callbacks)),
        "warnings": (list(warnings.filters), warnings.showwarning),
        "environ": dict(os.environ),
        "signals": [signal.getsignal(number) for number in sorted(signal.valid_signals())],
        "timer": hasattr(signal, "getitimer") and signal.getitimer(signal.ITIMER_REAL),
        "logs": (logging.getLogger("PIL").handlers, logging.getLogger().handlers),
        "numpy": (np.geterr(), np.get_printoptions()),
        "hooks": (sys.excepthook, sys.displayhook, threading.excepthook, sys.gettrace()),
        "streams": (sys.stdin, sys.stdout, sys.stderr),
        "limits": (sys.getrecursionlimit(), sys.getswitchinterval(), sys.getdefaultencoding()),
        "paths": (list(sys.path), os.getcwd(), locale.setlocale(locale.LC_ALL)),
    }

# Pillow itself silences libtiff's warnings when it first asks something of it.
Image.new("L", (2, 2)).save(packed := io.BytesIO(), "tiff", compression="tiff_lzw")
Image.open(packed).load()
np.seterr(divide="raise")  # a host may be strict
before = everything()
import cnntool
for module in pkgutil.walk_packages(cnntool.__path__, "cnntool."):
    if not module.name.startswith(("cnntool.cli", "cnntool.__main__")):
        importlib.import_module(module.name)
from cnntool.errors import CnntoolError
from cnntool.image.files import open_reader, read_image, write_image
from cnntool.nets.inference.preprocess import prepare
read = 0
sys.path.append(sys.argv[1])
from specimens import every
sys.path.pop()
for name, body in every().items():
    # libtiff speaks for itself of damaged files, as it does to everybody who uses Pillow.
    for data in (body, body if name.startswith("tiff") else body[: len(body) // 2]):
        try:
            with open_reader(io.BytesIO(data), name=name) as reader:
                reader.start(4, ahead=2)
                pixels = np.concatenate(list(reader.strips(4)))
                info = reader.info
            read += 1
        except CnntoolError:
            assert data is not body or name == "npy chw", name
            continue
        if data is body:
            for kind in ("png", "tif", "jpg", "npy", "csv", "pgm", "pfm"):
                try:
                    write_image(Path(f"{name}.{kind}"), pixels, info, name=name)
                except CnntoolError:
                    pass
{more}
after = everything()
for key, value in before.items():
    assert after[key] == value, (key, value, after[key])
assert threading.active_count() == 1
print("read", read)
"""


def guest(folder, more=""):
    code = GUEST.replace("{more}", more)
    specimens = Path(__file__).parent / "image"
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, specimens],
        cwd=folder, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


@pytest.mark.full
def test_reading_and_writing_every_format_changes_no_global(tmp_path):
    done = guest(tmp_path)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.removeprefix("read ")) > 40
    assert done.stderr == ""


NETWORK = """
with cnntool.load_model("vgg16-mini", device="cpu") as model:
    assert model.classify(SAMPLE)
    assert cnntool.filter(SAMPLE, "gaussian", "sobel").any()
"""


def test_a_network_changes_no_global(tmp_path, samples):
    pytest.importorskip("onnxruntime")
    done = guest(tmp_path, NETWORK.replace("SAMPLE", repr(os.fspath(samples / "cat.png"))))
    assert done.returncode == 0, done.stderr


def test_pillows_limit_is_the_hosts(monkeypatch):
    """What Pillow decodes as a whole it may refuse; what is decoded here has our limit alone."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)

    def opened(kind):
        body = io.BytesIO()
        Image.new("RGB", (20, 15), "red").save(body, kind)
        body.seek(0)
        return open_reader(body, name="p")

    for kind in ("gif", "bmp", "jpeg", "png", "tiff", "ppm"):
        with opened(kind) as reader:
            assert reader.read().shape == (15, 20, 3)
    with pytest.raises(InputError, match="p: more pixels than Pillow may read") as caught:
        opened("webp")
    assert caught.value.hint == "PIL.Image.MAX_IMAGE_PIXELS is its limit"
    assert Image.MAX_IMAGE_PIXELS == 100
