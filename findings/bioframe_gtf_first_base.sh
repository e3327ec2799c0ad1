#!/usr/bin/env bash
# A GTF file that bioframe has read loses the first base of each interval.
#
# Versions:  bioframe 0.8.0, pyranges 0.1.7, numpy 2.4.6, Python 3.11
# Behaviour: read_table(schema="gtf") leaves the starts as they stand in the file, counted from 1; bioframe's own overlap, and its
#            read_table(schema="bed"), count from 0. pyranges.read_gtf subtracts the 1.
# Why it matters: reads, variants and peaks that touch only the first base of an exon (the splice site) are not counted, in silence, and
#            an interval is one base short of what another library makes of the same file.
# Output seen (an exon of bases 101 to 200, and a variant at base 101, which is [100, 101) in BED):
#   bioframe: start 101, end 200, overlaps with the variant 0
#   pyranges: start 100, end 200, overlaps with the variant 1
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
uv venv --quiet --python 3.11 venv
uv pip install --quiet --python venv/bin/python bioframe==0.8.0 pyranges==0.1.7 numpy==2.4.6 'setuptools<81'
printf 'chr1\tsource\texon\t101\t200\t.\t+\t.\tgene_id "g";\n' > exons.gtf
printf 'chr1\t100\t101\n' > variant.bed
venv/bin/python -W ignore - <<'PYTHON' | tee seen
import bioframe
import pyranges

exons = bioframe.read_table("exons.gtf", schema="gtf")[["chrom", "start", "end"]]
variant = bioframe.read_table("variant.bed", schema="bed3")
found = len(bioframe.overlap(variant, exons, how="inner"))
print(f"bioframe: start {exons.start[0]}, end {exons.end[0]}, overlaps with the variant {found}")

exons = pyranges.read_gtf("exons.gtf")
found = len(pyranges.read_bed("variant.bed").overlap(exons))
print(f"pyranges: start {exons.df.Start[0]}, end {exons.df.End[0]}, overlaps with the variant {found}")
PYTHON
diff seen - <<'EXPECTED' && echo "as described above"
bioframe: start 101, end 200, overlaps with the variant 0
pyranges: start 100, end 200, overlaps with the variant 1
EXPECTED
