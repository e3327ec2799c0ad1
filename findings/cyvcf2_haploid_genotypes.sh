#!/usr/bin/env bash
# cyvcf2 and scikit-allel count other alternate alleles where a genotype is haploid or half missing.
#
# Versions:  cyvcf2 0.35.0, scikit-allel 1.3.13, numpy 2.4.6, Python 3.11
# Behaviour: gt_types and aaf of cyvcf2 count samples as if each had two alleles: a haploid 1 is homozygous alternate, ./1 is
#            heterozygous, 0/. is homozygous reference. scikit-allel counts the alleles that are there; a haploid 1 is
#            not homozygous to it.
# Why it matters: X and Y chromosomes of men, mitochondria and low-coverage calls: a dosage feature is 2 with one library and 1 with
#            the other, and frequencies differ in the first digit.
# Output seen:
#   genotypes: 1, 1/1, ./1, 0/.
#   dosage: cyvcf2 [2, 2, 1, 0], scikit-allel [1, 2, 1, 0]
#   homozygous alternate: cyvcf2 [True, True, False, False], scikit-allel [False, True, False, False]
#   frequency: cyvcf2 0.625, scikit-allel 0.8
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
uv venv --quiet --python 3.11 venv
uv pip install --quiet --python venv/bin/python cyvcf2==0.35.0 scikit-allel==1.3.13 numpy==2.4.6
venv/bin/python - <<'PYTHON' 2>&1 | tee seen
import allel, cyvcf2

genotypes = ["1", "1/1", "./1", "0/."]
lines = ["##fileformat=VCFv4.2", "##contig=<ID=X>", '##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">']
lines += ["\t".join(["#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", "FORMAT", "a", "b", "c", "d"])]
lines += ["\t".join(["X", "10", ".", "A", "T", ".", ".", ".", "GT", *genotypes])]
open("x.vcf", "w").write("\n".join(lines) + "\n")
record = next(iter(cyvcf2.VCF("x.vcf", gts012=True)))  # 0, 1, 2 alternate alleles; 3 where unknown
calls = allel.GenotypeArray(allel.read_vcf("x.vcf")["calldata/GT"])
frequency = calls.count_alleles().to_frequencies()[0, 1]
print("genotypes:", ", ".join(genotypes))
print(f"dosage: cyvcf2 {record.gt_types.tolist()}, scikit-allel {calls.to_n_alt()[0].tolist()}")
print(f"homozygous alternate: cyvcf2 {(record.gt_types == 2).tolist()}, scikit-allel {calls.is_hom_alt()[0].tolist()}")
print(f"frequency: cyvcf2 {record.aaf:.3g}, scikit-allel {frequency:.3g}")
PYTHON
diff seen - <<'EXPECTED' && echo "as described above"
genotypes: 1, 1/1, ./1, 0/.
dosage: cyvcf2 [2, 2, 1, 0], scikit-allel [1, 2, 1, 0]
homozygous alternate: cyvcf2 [True, True, False, False], scikit-allel [False, True, False, False]
frequency: cyvcf2 0.625, scikit-allel 0.8
EXPECTED
