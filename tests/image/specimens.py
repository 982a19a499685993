"""Small files of every format that is read, made by other libraries."""

from __future__ import annotations

import io

import numpy as np
import tifffile
from PIL import Image

RNG = np.random.default_rng(7)


def picture(channels: int, dtype: str = "uint8", height: int = 13, width: int = 9) -> np.ndarray:
    """Smooth enough that filters and codecs have something to do."""
    rows, columns = np.mgrid[:height, :width]
    planes = [(rows * (3 + c) + columns * (5 - c)) % 97 / 96 for c in range(channels)]
    values = np.stack(planes, axis=2)
    if dtype.startswith("uint"):
        return np.rint(values * np.iinfo(dtype).max).astype(dtype)
    return values.astype(dtype)


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    body = io.BytesIO()
    image.save(body, kind, **options)
    return body.getvalue()


def tiff(pixels: np.ndarray, **options: object) -> bytes:
    body = io.BytesIO()
    tifffile.imwrite(body, pixels, **options)
    return body.getvalue()


def npy(array: np.ndarray) -> bytes:
    body = io.BytesIO()
    np.save(body, array)
    return body.getvalue()


def _image(channels: int, mode: str | None = None) -> Image.Image:
    image = Image.fromarray(picture(channels).squeeze())
    return image.convert(mode) if mode else image


def every() -> dict[str, bytes]:
    """Return specimens by a name that tells what they are."""
    rgb16 = picture(3, "uint16")
    return {
        "png grey": saved(_image(1), "png"),
        "png rgb": saved(_image(3), "png"),
        "png rgba": saved(_image(4), "png"),
        "png palette": saved(_image(3, "P"), "png", transparency=3),
        "png 1-bit": saved(_image(1, "1"), "png"),
        "png 16": saved(Image.fromarray(picture(1, "uint16").squeeze()), "png"),
        "jpeg grey": saved(_image(1), "jpeg"),
        "jpeg rgb": saved(_image(3), "jpeg"),
        "jpeg cmyk": saved(_image(3, "CMYK"), "jpeg"),
        "jpeg progressive": saved(_image(3), "jpeg", progressive=True),
        "webp lossy": saved(_image(3), "webp"),
        "webp lossless": saved(_image(4), "webp", lossless=True),
        "webp animated": saved(
            _image(3), "webp", save_all=True, append_images=[_image(3).rotate(180)]
        ),
        "gif": saved(_image(3, "P"), "gif"),
        "gif animated": saved(
            _image(3, "P"), "gif", save_all=True, append_images=[_image(3, "P").rotate(180)]
        ),
        "bmp": saved(_image(3), "bmp"),
        "bmp palette": saved(_image(3, "P"), "bmp"),
        "pgm": saved(_image(1), "ppm"),
        "ppm": saved(_image(3), "ppm"),
        "pbm": saved(_image(1, "1"), "ppm"),
        "pfm": b"PF\n9 13\n-1.0\n" + picture(3, "float32").tobytes(),
        "pgm plain": b"P2 3 2 255\n1 2 3\n4 5 6\n",
        "tiff": tiff(picture(1).squeeze()),
        "tiff rgb": tiff(picture(3), photometric="rgb", rowsperstrip=4),
        "tiff deflate": tiff(
            rgb16, photometric="rgb", compression="zlib", predictor=True, rowsperstrip=5
        ),
        "tiff float": saved(
            Image.fromarray(picture(1, "float32").squeeze()),
            "tiff",
            compression="tiff_adobe_deflate",
            tiffinfo={317: 3},
        ),
        "tiff lzw": saved(_image(3), "tiff", compression="tiff_lzw"),
        "tiff packbits": saved(_image(3), "tiff", compression="packbits"),
        "tiff jpeg": saved(_image(3), "tiff", compression="jpeg"),
        "tiff fax": saved(_image(1, "1"), "tiff", compression="group4"),
        "tiff palette": saved(_image(3, "P"), "tiff"),
        "tiff cmyk": saved(_image(3, "CMYK"), "tiff"),
        "tiff tiled": tiff(picture(3, height=40, width=50), photometric="rgb", tile=(16, 16)),
        "tiff planar": tiff(
            np.moveaxis(rgb16, 2, 0), photometric="rgb", planarconfig="separate", byteorder=">"
        ),
        "tiff pages": tiff(RNG.integers(0, 255, (3, 6, 7), np.uint8), photometric="minisblack"),
        "tiff big": tiff(picture(1).squeeze(), bigtiff=True),
        "npy": npy(picture(1, "float64").squeeze()),
        "npy fortran": npy(np.asfortranarray(picture(1, "float64").squeeze())),
        "npy chw": npy(RNG.random((2, 5, 6)).astype(np.float32)),
        "csv": b"1,2,3\n4,5e-3,-6\n",
        "text": b"1 2 3\n4 5 6\n",
    }
