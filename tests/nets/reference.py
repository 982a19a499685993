"""Classify pictures with onnxruntime and Pillow alone: it shares no code with the tool.

Usage: python reference.py MODEL RECIPE PICTURE...; prints the index of the best class of each.
"""

import sys

import numpy as np
import onnxruntime
from PIL import Image

session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
for path in sys.argv[3:]:
    picture = Image.open(path).convert("RGB")
    scale = 256 / min(picture.size)
    picture = picture.resize([int(side * scale + 1e-6) for side in picture.size], Image.BILINEAR)
    left, top = (round((side - 224) / 2) for side in picture.size)
    pixels = np.asarray(picture.crop((left, top, left + 224, top + 224)))
    if sys.argv[2] == "caffe":
        pixels = (pixels[..., ::-1] - np.array([104.0, 117.0, 123.0])).transpose(2, 0, 1)
        pixels = pixels.astype(np.float16)
    scores = session.run(None, {session.get_inputs()[0].name: pixels[None]})[0]
    print(np.argmax(scores))  # noqa: T201 - its result
