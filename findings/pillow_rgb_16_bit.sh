#!/usr/bin/env bash
# Pillow, and what reads with it, gives 16-bit colour images as 8 bits, without a word.
#
# Versions:  pillow 13.0.0, tifffile 2026.3.3, imageio 2.38.1, numpy 2.4.6, Python 3.11
# Behaviour: a TIFF or PNG with 16 bits per colour is opened in mode RGB, which has 8: the lower byte of every value is gone.
#            tifffile reads all 16. imageio.imread goes by its plugin: the .tif has 16 bits and the .png 8. A
#            grey image keeps its 16 bits everywhere, so a test with one shows nothing.
# Why it matters: stained sections and fluorescence merged to RGB come with 16 bits: values are divided by 256 for one reader, and a
#            model that was trained with another gets an almost black image. Look at the dtype after reading.
# Output seen:
#   written uint16 47000
#   rgb.tif: tifffile uint16 47000, Pillow uint8 183, imageio uint16 47000
#   rgb.png: Pillow uint8 183, imageio uint8 183
#   grey.png: Pillow uint16 47000, imageio uint16 47000
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
uv venv --quiet --python 3.11 venv
uv pip install --quiet --python venv/bin/python pillow==13.0.0 tifffile==2026.3.3 imageio==2.38.1 numpy==2.4.6
venv/bin/python - <<'PYTHON' 2>&1 | tee seen
import pathlib, struct, warnings, zlib
import imageio.v3 as imageio
import numpy as np, tifffile
from PIL import Image

warnings.simplefilter("error")
rgb = (np.arange(48).reshape(4, 4, 3) * 1000).astype(np.uint16)


def png(path, values, colour_type):
    """Write a PNG of 16 bits: Pillow itself writes none in colour."""
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", 4, 4, 16, colour_type, 0, 0, 0))]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    chunks += [(b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    sealed = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    ]
    pathlib.Path(path).write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(sealed))


tifffile.imwrite("rgb.tif", rgb, photometric="rgb")
png("rgb.png", rgb, 2)
png("grey.png", rgb[..., 2], 0)
told = lambda values: f"{values.dtype} {values.max()}"
print("written", told(rgb))
for name in ("rgb.tif", "rgb.png", "grey.png"):
    first = f"tifffile {told(tifffile.imread(name))}, " if name == "rgb.tif" else ""
    print(f"{name}: {first}Pillow {told(np.asarray(Image.open(name)))}, imageio {told(imageio.imread(name))}")
PYTHON
diff seen - <<'EXPECTED' && echo "as described above"
written uint16 47000
rgb.tif: tifffile uint16 47000, Pillow uint8 183, imageio uint16 47000
rgb.png: Pillow uint8 183, imageio uint8 183
grey.png: Pillow uint16 47000, imageio uint16 47000
EXPECTED
