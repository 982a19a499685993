"""Write docs/gallery.md: what each verb makes, with the command that made it.

python docs/gallery.py [NAME...]       # draw all of it, or only these
python docs/gallery.py --check         # compare, and draw none
python docs/gallery.py tutorial.md     # run the commands of a page, and write down what they print

A picture is current as long as its command and the version are those that it was made by.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from PIL import Image, ImageSequence

from cnntool.version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator

DOCS = Path(__file__).parent
FOLDER = DOCS / "gallery"
PAGE = DOCS / "gallery.md"
HEAD = """# Gallery

What each command makes, with the line that made it; all of it from [samples/](../samples) and the built-in network.
Written by `python docs/gallery.py`. Pictures are shrunk for this page; a `.svg` after `-o` keeps text as text wherever boxes and captions are drawn.
"""
WIDEST, LARGEST = 640, 60_000
"""Pixels across, and bytes, of a picture."""

QUALITIES = (90, 80, 65, 50, 35, 20)


class Piece(NamedTuple):
    """A piece of the gallery.

    Parameters
    ----------
    name : str
        Of its file.
    caption : str
    command : str
        Lines of a shell. What it prints is shown, unless it makes a picture.
    picture : str
        What file is shown, if one is.
    """

    name: str
    caption: str
    command: str
    picture: str = ""

    @property
    def file(self) -> Path:
        """Where it lies."""
        return FOLDER / f"{self.name}{'.webp' if self.picture else '.txt'}"

    @property
    def key(self) -> str:
        """What it was made by, in short."""
        return hashlib.sha256(f"{__version__}\n{self.command}".encode()).hexdigest()[:12]


def drawn(name: str, caption: str, command: str) -> Piece:
    """Return a piece whose command names its picture last."""
    return Piece(name, caption, command, command.rsplit(maxsplit=1)[-1])


MATRIX, LECTURE = "samples/matrix.csv", "-k '0,1,2;2,2,0;0,1,2'"
MAPS = "cnntool activations -q samples/cat.png --layer"
EXPLAINED = {
    "gradcam": "Where a layer's maps speak for the class",
    "layercam": "The same place by place, of an earlier layer: `-l block4_conv3`",
    "saliency": "What each pixel would change",
    "smoothgrad": "The same, averaged over noisy copies",
    "integrated-gradients": "What each pixel adds on the way from black",
    "occlusion": "What a grey patch takes away",
    "rise": "What random masks leave",
}

NETWORK = """python - <<'END'
from onnx import parser, save_model  # pip install onnx; a network of two operators: which colour?
save_model(parser.parse_model('''<ir_version: 8, opset_import: ["" : 13]>
net (float[1, 3, rows, columns] photo) => (int64[1, rows, columns] classes)
<float[5, 3, 1, 1] kernels = {0, 0, 0, 2, -1, -1, -1, 2, -1, 1, 1, -2, -1, -1, 2}, float[5] bias = {0.1, 0, 0, 0, 0}>
{ scores = Conv(photo, kernels, bias)  classes = ArgMax <axis = 1, keepdims = 0> (scores) }'''), "colours.onnx")
END
printf 'grey\\nred\\ngreen\\nyellow\\nblue\\n' > names.txt
"""

GALLERY: dict[str, list[Piece]] = {
    "filter": [
        drawn("blur", "A Gaussian", "cnntool filter -k gaussian:sigma=4 samples/cat.png -o blur.png"),
        drawn("sharpen", "Sharper", "cnntool filter -k unsharp:sigma=2,amount=2 samples/cat.png -o sharp.png"),
        drawn("sobel", "Edges", "cnntool filter -k sobel samples/cat.png -o sobel.png"),
        drawn("sobel-x", "A derivative: 0 is mid-grey", "cnntool filter -k sobel-x samples/cat.png -o sobel-x.png"),
        drawn("percentile", "The same, symmetric about 0: blue below, red above", "cnntool filter -k sobel-x --range percentile samples/cat.png -o percentile.png"),
        drawn("log", "Blobs: the Laplacian of a Gaussian", "cnntool filter -k log:sigma=3 --range signed samples/camera.png -o log.png"),
        drawn("emboss", "Relief", "cnntool filter -k emboss samples/rocket.jpg -o emboss.png"),
        drawn("canny", "Outlines: not a convolution", "cnntool filter -k canny:sigma=2 samples/camera.png -o canny.png"),
        drawn("median", "A median, and a morphological opening after it", "cnntool filter -k median:7 -k open:9 samples/camera.png -o median.png"),
        drawn("full", "Every place where the kernel touches: dark borders of zeros", "cnntool filter -k box:61 --mode full samples/camera.png -o full.png"),
        drawn("bank", "Several kernels side by side, each with a range of its own; `--figure` adds their names", "cnntool filter --bank -k sobel-x -k sobel-y -k laplacian -k box:9 --range percentile samples/cat.png -o bank.png"),
        drawn("figure", "A slide: the photo, captioned results, and colour bars", "cnntool filter --figure --bank -k sobel-x -k laplacian -k box:9 --range percentile samples/cat.png -o slide.png"),
        drawn("learned", "A kernel that the built-in network has learned, as a filter", "cnntool filter -k 'vgg16-mini:block1_conv1[5]' --range minmax samples/cat.png -o learned.png"),
    ],
    "kernels": [
        Piece("kernel", "What a kernel is", "cnntool kernels show sobel-x"),
        drawn("response", "Which frequencies it lets through", "cnntool kernels show dog -q --response response.png"),
    ],
    "pool": [
        drawn("pool", "The largest of each 8 x 8 window", "cnntool pool --max 8 samples/cat.png -o - | cnntool resize --scale 8 --method nearest -o pool.png"),
        drawn("pool-average", "The average of each 8 x 8 window", "cnntool pool --avg 8 samples/cat.png -o - | cnntool resize --scale 8 --method nearest -o average.png"),
    ],
    "unpool": [
        drawn("unpool", "What was pooled, back where it stood", "cnntool pool --max 4 --switches where.npy samples/camera.png -o pooled.png && cnntool unpool --switches where.npy --size 512 pooled.png -o unpooled.png"),
    ],
    "deconv": [
        drawn("deconv", "A transposed convolution: a map becomes twice as large", "cnntool resize --size 128 samples/camera.png -o - | cnntool deconv -k '.25,.5,.25;.5,1,.5;.25,.5,.25' --stride 2 --padding 1 -o deconv.png"),
    ],
    "resize": [drawn("resize", "Another size", "cnntool resize --size 160 samples/rocket.jpg -o small.png")],
    "trace": [
        drawn("trace", "One value taken apart", f"cnntool trace {MATRIX} {LECTURE} --at 1,2 -o value.png"),
        drawn("trace-filter", "A convolution on paper", f"cnntool trace {MATRIX} {LECTURE} --mode valid --width 560 -o sliding.webp"),
        drawn("trace-photo", "A window of a photo: its pixels as numbers", "cnntool trace samples/cat.png -k sobel-x --at 140,165 --size 3 --width 640 -o window.webp"),
        drawn("trace-pool", "Pooling", f"cnntool trace {MATRIX} --max 2 --stride 1 --width 400 -o pool.webp"),
        drawn("trace-unpool", "What is pooled goes back to where it stood", f"cnntool trace {MATRIX} --of unpool --max 2 --width 560 -o unpool.webp"),
        drawn("trace-deconv", "A transposed convolution: each value lays the kernel down", "echo '1,2;3,4' | cnntool trace --of deconv -k '1,2,1;2,4,2;1,2,1' --stride 2 --width 560 -o deconv.webp"),
        drawn("trace-im2col", "A convolution as a matrix product", "echo '0,1,2;3,4,5;6,7,8' | cnntool trace --of im2col -k '0,1;2,3' --mode valid --width 640 -o im2col.webp"),
        drawn("trace-unit", "One unit of a network: what it sees, and its sum", "cnntool trace samples/cat.png -q --layer block3_conv1 --unit 3,17,20 -o unit.png"),
        Piece("trace-text", "The same in the terminal", f"cnntool trace {MATRIX} {LECTURE} --at 1,2"),
    ],
    "im2col": [drawn("im2col", "Every window as a column, and the product", f"cnntool im2col {MATRIX} {LECTURE} --mode valid --picture im2col.png")],
    "matrix": [drawn("matrix", "A convolution as one matrix: Toeplitz blocks", "cnntool matrix -k sobel-x --input-size 8 --picture toeplitz.png")],
    "conv": [Piece("conv", "AlexNet's shapes and costs", "cnntool conv 227x227x3 conv:11,s4,f96 pool:3,s2 conv:5,f256,same pool:3,s2 flatten dense:4096")],
    "classify": [Piece("classify", "What is in a picture", "cnntool classify -q samples/cat.png")],
    "evaluate": [
        Piece("evaluate", "How often it is right", "printf 'path,class\\nsamples/cat.png,cat\\n' > truth.csv\ncnntool evaluate -q truth.csv"),
        drawn("ablation", "Which maps matter", "printf 'path,class\\nsamples/cat.png,cat\\n' > truth.csv\ncnntool evaluate -q truth.csv --without 'block5_conv3[0-15]' --each -o worst.png"),
    ],
    "activations": [
        drawn("maps", "What a layer makes of a photo", f"{MAPS} block1_conv2 -o maps.png"),
        drawn("maps-deep", "Deeper: the twelve strongest", f"{MAPS} block4_conv2 --maps top:12 -o deep.png"),
        drawn("style-viridis", "`--style viridis`", f"{MAPS} block2_conv2 --maps top:12 --style viridis -o viridis.png"),
        drawn("style-magma", "`--style magma`", f"{MAPS} block2_conv2 --maps top:12 --style magma -o magma.png"),
        drawn("style-gray", "`--style gray`", f"{MAPS} block2_conv2 --maps top:12 --style gray -o gray.png"),
        drawn("style-diverging", "`--style diverging`, before the ReLU", f"{MAPS} block2_conv2 --at pre --maps top:12 --style diverging -o diverging.png"),
        drawn("style-overlay", "`--style overlay`: light on the photo", f"{MAPS} block4_conv2 --maps top:6 --style overlay -o overlay.png"),
        drawn("figure-maps", "A slide: the photo and its maps", f"{MAPS} block2_conv1 --maps top:8 --figure -o slide.png"),
        drawn("vector", "A layer without places", f"{MAPS} predictions -o classes.png"),
        drawn("patches", "What excites each map most in some photos", "cnntool activations -q samples/cat.png samples/camera.png samples/rocket.jpg --layer block3_conv1 --maps 0-7 --top-patches -o patches.png"),
        Piece("statistics", "In numbers", "cnntool activations -q --stats-only samples/cat.png"),
    ],
    "run": [
        drawn("run", "A network that makes a map of classes, on the photo, with a legend (those of style and super-resolution: `cnntool run photo.jpg -m mosaic`)", f"{NETWORK}cnntool run -q -m colours.onnx --labels names.txt --preprocess unit --figure samples/rocket.jpg -o parts.png"),
    ],
    "features": [Piece("features", "A vector for each picture", "cnntool features -q samples/cat.png samples/camera.png samples/rocket.jpg -o feats.csv && cut -c 1-70 feats.csv")],
    "explain": [
        drawn(f"explain-{name}", caption, f"cnntool explain -q --method {name}{' -l block4_conv3' * (name == 'layercam')} samples/cat.png -o {name}.png")
        for name, caption in EXPLAINED.items()
    ],
    "diff": [
        drawn("diff", "One layer of a network on two photos, and their difference", "cnntool diff -q -m vgg16-mini samples/cat.png samples/camera.png -l block2_conv1 -o diff.png"),
    ],
    "weights": [
        drawn("weights", "What the first layer has learned", "cnntool weights -q --layer block1_conv1 -o kernels.png"),
        drawn("weights-deep", "And a deeper one", "cnntool weights -q --layer block2_conv1 --maps 0-7 -o deep.png"),
    ],
    "layers": [Piece("layers", "The names that can be asked for", "cnntool layers -q vgg16-mini --type conv")],
    "summary": [Piece("summary", "A network's table", "cnntool summary -q vgg16-mini")],
    "models": [Piece("models", "What is known of a network", "cnntool models info vgg16-mini | grep -v ^file | grep -v ^manifest")],
    "devices": [
        Piece("devices", "What networks can run on, with onnxruntime's names", "cnntool devices -q | cut -f 1,2"),
        Piece("devices-cpu", "Whether one works here", "cnntool devices -q --device cpu | cut -f 1-3"),
    ],
}  # fmt: skip


def pieces() -> list[Piece]:
    """Return all pieces."""
    return [piece for section in GALLERY.values() for piece in section]


def page() -> str:
    """Return the page."""
    parts = [HEAD]
    for verb, section in GALLERY.items():
        parts.append(f"\n## {verb}\n")
        for piece in section:
            parts.append(
                f"\n**{piece.caption}** <!-- {piece.key} -->\n\n```bash\n{piece.command}\n```\n"
            )
            if piece.picture:
                parts.append(f"\n![{piece.caption}](gallery/{piece.file.name})\n")
            else:
                parts.append(f"\n```text\n{piece.file.read_text(encoding='utf-8')}```\n")
    return "".join(parts)


@contextmanager
def workplace() -> Iterator[Path]:
    """Make a folder with the samples and the tool."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "samples").symlink_to(DOCS.parent / "samples")
        (folder / "bin").mkdir()
        for tool_name, module in (("cnntool", "-m cnntool"), ("python", "")):
            tool = folder / "bin" / tool_name
            tool.write_text(f'#!/bin/sh\nexec "{sys.executable}" {module} "$@"\n')
            tool.chmod(0o755)
        yield folder


def make(piece: Piece) -> None:
    """Run a piece's command, and keep what it made."""
    with workplace() as folder:
        printed = run(piece.command, folder)
        if piece.picture:
            shrink(folder / piece.picture, piece.file)
        else:
            piece.file.write_text(printed, encoding="utf-8")


def told(page: str) -> str:
    """Return a page whose blocks of ``console`` hold what their commands print, one by one."""
    with workplace() as folder:
        parts = re.split(r"(?<=```console\n)(.*?)(?=```)", page, flags=re.DOTALL)
        for at in range(1, len(parts), 2):
            commands = re.findall(r"^\$ (.*(?:\n> .*)*)", parts[at], re.MULTILINE)
            shown = [(line, run(line.replace("\n> ", "\n"), folder)) for line in commands]
            parts[at] = "".join(f"$ {line}\n{printed}" for line, printed in shown)
    return "".join(parts)


def run(command: str, folder: Path) -> str:
    """Run lines of a shell as on a terminal of 100 columns; return what they print."""
    import pty  # not on Windows, where the page can be checked

    environment = {
        **os.environ, "PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "COLUMNS": "100", "LINES": "50", "NO_COLOR": "1", "TERM": "xterm",
    }  # fmt: skip
    ours, theirs = pty.openpty()
    child = subprocess.Popen(
        ["sh", "-ec", command], cwd=folder, env=environment, stdin=subprocess.DEVNULL,
        stdout=theirs, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    os.close(theirs)
    printed = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # the terminal is gone
            break
        if not part:
            break
        printed += part
    os.close(ours)
    _, errors = child.communicate()
    if child.returncode:
        sys.exit(f"{command}\n{errors}")
    plain = re.sub("\x1b[^a-zA-Z]*[a-zA-Z]", "", printed.decode())
    lines = "\n".join(line.rstrip() for line in plain.splitlines()).strip("\n")
    return f"{lines}\n" if lines else ""


def shrink(source: Path, target: Path) -> None:
    """Write a picture, or an animation, as a small WebP."""
    with Image.open(source) as opened:
        frames = [frame.convert("RGB") for frame in ImageSequence.Iterator(opened)]
        times = [frame.info.get("duration", 0) for frame in ImageSequence.Iterator(opened)]
    for frame in frames:
        frame.thumbnail((WIDEST, WIDEST))
    for quality in QUALITIES:
        frames[0].save(
            target, "WEBP", save_all=len(frames) > 1, append_images=frames[1:], loop=0,
            quality=quality, method=4, **({"duration": times} if len(frames) > 1 else {}),
        )  # fmt: skip
        if target.stat().st_size <= LARGEST:
            return
    sys.exit(f"{target} does not become small enough")


def check() -> None:
    """Fail if the page does not show what the pieces say, each made by this version."""
    missing = [piece.file for piece in pieces() if not piece.file.exists()]
    rest = {*FOLDER.iterdir()} - {piece.file for piece in pieces()}
    if missing or rest or PAGE.read_text(encoding="utf-8") != page():
        sys.exit("docs/gallery.md is not current: run python docs/gallery.py")


def main() -> None:
    """Draw the gallery, or check it."""
    names = sys.argv[1:]
    if names == ["--check"]:
        check()
        return
    for name in [name for name in names if name.endswith(".md")]:
        page_ = DOCS / name
        page_.write_text(told(page_.read_text(encoding="utf-8")), encoding="utf-8")
        names.remove(name)
        if not names:
            return
    FOLDER.mkdir(exist_ok=True)
    for piece in pieces():
        if not names or piece.name in names:
            make(piece)
    for file in {*FOLDER.iterdir()} - {piece.file for piece in pieces()}:
        file.unlink()
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
