"""Puts brighter copies of pictures into a folder: ``brighten.py FROM TO PATH...``.

The paths are below both folders. Runs in the Spark environment, which has Pillow.
"""

import sys
from pathlib import Path

from PIL import Image

LEVELS = 90
"""Of 255, that every channel of every pixel gains."""

source, target = map(Path, sys.argv[1:3])
for path in sys.argv[3:]:
    with Image.open(source / path) as picture:
        brighter = picture.convert("RGB").point(lambda level: min(255, level + LEVELS))
    (target / path).parent.mkdir(parents=True, exist_ok=True)
    brighter.save(target / path)
