#!/usr/bin/env bash
# One PLINK file gives opposite genotypes with two readers.
#
# Versions:  bed-reader 1.1.0, pandas-plink 2.2.9 (with pandas 2.3.3), numpy 2.4.6, Python 3.11
# Behaviour: bed-reader counts the first allele of the .bim file (A1), pandas-plink the second, which it names a1. The values
#            of both are 0, 1 and 2, so nothing shows which one was counted.
# Why it matters: a score that was fitted with one reader and served with the other has every weight's sign turned round.
# Output seen:
#   bed-reader: [2.0, 1.0, 0.0]
#   pandas-plink: [0.0, 1.0, 2.0] a0 A a1 G
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
uv venv --quiet --python 3.11 venv
uv pip install --quiet --python venv/bin/python bed-reader==1.1.0 pandas-plink==2.2.9 pandas==2.3.3 numpy==2.4.6
venv/bin/python -W ignore - <<'PYTHON' | tee seen
from pathlib import Path

from bed_reader import open_bed
from pandas_plink import read_plink

Path("p.fam").write_text("".join(f"f {name} 0 0 1 -9\n" for name in "xyz"))
Path("p.bim").write_text("1\trs1\t0\t100\tA\tG\n")
AA, AG, GG = 0b00, 0b10, 0b11
Path("p.bed").write_bytes(bytes([0x6C, 0x1B, 1, AA | AG << 2 | GG << 4]))

print("bed-reader:", open_bed("p.bed").read()[:, 0].tolist())
variants, _, genotypes = read_plink("p", verbose=False)
print("pandas-plink:", genotypes.compute()[0].tolist(), "a0", variants.a0[0], "a1", variants.a1[0])
PYTHON
diff seen - <<'EXPECTED' && echo "as described above"
bed-reader: [2.0, 1.0, 0.0]
pandas-plink: [0.0, 1.0, 2.0] a0 A a1 G
EXPECTED
