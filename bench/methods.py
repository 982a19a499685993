"""The convolution's methods in process, side by side with OpenCV and scipy: ms, best of a few runs.

    OPENBLAS_NUM_THREADS=1 python bench/methods.py [--size 2160x3840] [--threads 2] [--only NAME]

A row names the filter and the picture; ``ours`` runs strips of the plan's height on plain
threads, as the command does. OpenCV uses the same number of threads; scipy.ndimage (oaconvolve
where the kernel is large) has one.
"""

from __future__ import annotations

import argparse
import os
import threading
import time
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np

from cnntool.filters.conv.executor import convolve_rows
from cnntool.filters.conv.plan import ConvPlan, make_plan
from cnntool.filters.kernels.kernel import Filter, Kernel

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray


def best(run: Callable[[], object], budget: float) -> float:
    """Milliseconds of the fastest run within a budget of seconds (three runs at least)."""
    times: list[float] = []
    started = time.perf_counter()
    while len(times) < 3 or time.perf_counter() - started < budget:
        begin = time.perf_counter()
        run()
        times.append(time.perf_counter() - begin)
        if sum(times) > 4 * budget:
            break
    return min(times) * 1000


def in_strips(
    plan: ConvPlan, image: NDArray[Any], result: NDArray[Any], threads: int
) -> NDArray[Any]:
    """Compute the whole result, strip by strip, on threads; as the command does."""
    height, rows = plan.out_shape[0], plan.strip_rows
    turns = count(0, rows)

    def work() -> None:
        while (start := next(turns)) < height:
            stop = min(start + rows, height)
            lo, hi = plan.needs(start, stop)
            convolve_rows(plan, image[lo:hi], lo, start, stop, out=result[start:stop])

    others = [threading.Thread(target=work) for _ in range(threads - 1)]
    for other in others:
        other.start()
    work()
    for other in others:
        other.join()
    return result


def gaussian(sigma: float, size: int) -> NDArray[np.float64]:
    at = np.arange(size) - (size - 1) / 2
    line = np.exp(-(at**2) / (2 * sigma**2))
    line /= line.sum()
    return np.outer(line, line)


def filters() -> dict[str, Filter]:
    rng = np.random.default_rng(1)
    sobel = np.outer([1, 2, 1], [1, 0, -1])
    at = np.arange(-7, 8)[:, None] ** 2 + np.arange(-7, 8)[None, :] ** 2
    log = (at - 2 * 2.0**2) / 2.0**4 * np.exp(-at / (2 * 2.0**2))
    return {
        "box 9": Filter((Kernel(np.full((9, 9), 1 / 81)),)),
        "box 31": Filter((Kernel(np.full((31, 31), 1 / 961)),)),
        "gaussian s1 (7)": Filter((Kernel(gaussian(1, 7)),)),
        "gaussian s3 (19)": Filter((Kernel(gaussian(3, 19)),)),
        "sobel magnitude": Filter((Kernel(sobel), Kernel(sobel.T)), "magnitude"),
        "laplacian": Filter((Kernel([[0, 1, 0], [1, -4, 1], [0, 1, 0]]),)),
        "log 15": Filter((Kernel(log),)),
        "any 5x5": Filter((Kernel(rng.random((5, 5))),)),
        "any 7x7": Filter((Kernel(rng.random((7, 7))),)),
        "any 11x11": Filter((Kernel(rng.random((11, 11))),)),
        "any 15x15": Filter((Kernel(rng.random((15, 15))),)),
        "any 31x31": Filter((Kernel(rng.random((31, 31))),)),
        "any 101x101": Filter((Kernel(rng.random((101, 101))),)),
    }


def with_opencv(name: str, item: Filter, image: NDArray[Any]) -> Callable[[], object]:
    """Return OpenCV's call for the same result, into memory that is there already."""
    import cv2

    size, byte, border = item.shape[0], image.dtype == np.uint8, cv2.BORDER_CONSTANT
    depth = cv2.CV_32F
    if name.startswith(("box", "gaussian")):  # these keep 8 bits, which ours does not
        out = np.zeros(image.shape, image.dtype)
        if name.startswith("box"):
            return lambda: cv2.boxFilter(image, -1, (size, size), dst=out, borderType=border)
        sigma = float(name.split()[1][1:])
        return lambda: cv2.GaussianBlur(image, (size, size), sigma, dst=out, borderType=border)
    first, second, out = (np.zeros(image.shape, np.float32) for _ in range(3))
    if name.startswith("sobel"):
        half = [np.zeros(image.shape, np.int16) for _ in range(2)] if byte else [first, second]

        def sobel() -> None:
            for (dx, dy), into in zip(((1, 0), (0, 1)), half, strict=True):
                kind = cv2.CV_16S if byte else depth
                cv2.Sobel(image, kind, dx, dy, dst=into, ksize=3, borderType=border)
            if byte:
                np.copyto(first, half[0])
                np.copyto(second, half[1])
            cv2.magnitude(first, second, out)

        return sobel
    kernel = item.kernels[0].weights.astype(np.float32)
    return lambda: cv2.filter2D(image, depth, kernel, dst=out, borderType=border)


def with_scipy(item: Filter, image: NDArray[Any]) -> Callable[[], object]:
    """Return scipy's call for the same result."""
    from scipy import ndimage, signal

    numbers = image[..., 0].astype(np.float32) if image.ndim == 3 else image.astype(np.float32)
    kernels = [kernel.weights.astype(np.float32) for kernel in item.kernels]
    if item.shape[0] > 15 and kernels[0].std():
        return lambda: signal.oaconvolve(numbers, kernels[0][::-1, ::-1], mode="same")
    results = [np.empty_like(numbers) for _ in kernels]

    def run() -> object:
        for kernel, result in zip(kernels, results, strict=True):
            ndimage.correlate(numbers, kernel, output=result, mode="constant")
        return np.hypot(*results) if len(results) == 2 else results[0]

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", default="2160x3840", help="rows x columns")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", default="", help="filters whose name holds this")
    parser.add_argument("--dtype", default="", help="uint8 or float32 only")
    parser.add_argument("--channels", type=int, default=1)
    parser.add_argument("--method", default="auto")
    parser.add_argument("--budget", type=float, default=0.4, help="seconds per figure")
    parser.add_argument("--ours", action="store_true", help="no peers")
    parser.add_argument("--scipy", action="store_true", help="scipy too")
    options = parser.parse_args()
    height, width = map(int, options.size.split("x"))
    rng = np.random.default_rng(0)
    bytes_ = rng.integers(0, 256, (height, width, options.channels), dtype=np.uint8)
    print(
        f"{'filter':18}{'input':9}{'method':26}{'ours':>8}{'one':>8}{'cv2':>8}{'x':>6}{'scipy':>9}"
    )
    for name, item in filters().items():
        for dtype in (np.float32, np.uint8):
            if options.only not in name or options.dtype not in np.dtype(dtype).name:
                continue
            image = bytes_.astype(dtype)
            plan = make_plan(
                (height, width), item, dtype=dtype, channels=options.channels, method=options.method
            )
            result = np.zeros((*plan.out_shape, plan.channels), plan.dtype)
            ours = partial(in_strips, plan, image, result)
            two = best(partial(ours, options.threads), options.budget)
            one = best(partial(ours, 1), options.budget)
            method = f"{plan.method} {plan.work.dtype.name}"
            line = f"{name:18}{np.dtype(dtype).name:9}{method:26}{two:8.1f}{one:8.1f}"
            if not options.ours:
                import cv2

                cv2.setNumThreads(options.threads)
                flat = image[:, :, 0] if options.channels == 1 else image
                other = best(with_opencv(name, item, flat), options.budget)
                line += f"{other:8.1f}{two / other:6.2f}"
            if options.scipy:
                line += f"{best(with_scipy(item, image), options.budget):9.1f}"
            print(line, flush=True)


if __name__ == "__main__":
    main()
