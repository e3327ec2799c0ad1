#!/usr/bin/env bash
# Three counts of pysam give three depths for one position.
#
# Versions:  pysam 0.24.1, Python 3.11
# Behaviour: with default settings, over the same BAM: pileup() stops at 8,000 reads, counts reads of any base quality in
#            column.n, but leaves bases under quality 13 out of get_num_aligned(); count_coverage() has no upper
#            limit and leaves out bases under quality 15.
# Why it matters: depth features of a model change with the function that computed them; deep amplicon data is cut at 8,000 by one
#            of them.
# Output seen:
#   column.n 8000, get_num_aligned 8000, count_coverage 9000
#   column.n 4, get_num_aligned 3, count_coverage 1
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
uv venv --quiet --python 3.11 venv
uv pip install --quiet --python venv/bin/python pysam==0.24.1
venv/bin/python - <<'PYTHON' 2>&1 | tee seen
import pysam

HEADER = {"HD": {"VN": "1.6", "SO": "coordinate"}, "SQ": [{"SN": "chr1", "LN": 1000}]}

def write(path, qualities):
    with pysam.AlignmentFile(path, "wb", header=HEADER) as bam:
        for number, quality in enumerate(qualities):
            read = pysam.AlignedSegment(bam.header)
            read.query_name, read.query_sequence, read.cigarstring = f"r{number}", "ACGT", "4M"
            read.reference_id, read.reference_start, read.mapping_quality = 0, 100, 60
            read.query_qualities = [quality] * 4
            bam.write(read)
    pysam.index(path)
    with pysam.AlignmentFile(path) as bam:
        columns = bam.pileup("chr1", 101, 102, truncate=True)
        column = next(columns)
        covered = sum(base[0] for base in bam.count_coverage("chr1", 101, 102))
        print(f"column.n {column.n}, get_num_aligned {column.get_num_aligned()}, count_coverage {covered}")

write("deep.bam", [40] * 9000)
write("qualities.bam", [12, 13, 14, 15])
PYTHON
diff seen - <<'EXPECTED' && echo "as described above"
column.n 8000, get_num_aligned 8000, count_coverage 9000
column.n 4, get_num_aligned 3, count_coverage 1
EXPECTED
