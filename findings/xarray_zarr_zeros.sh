#!/usr/bin/env bash
# xarray reads the zeros of a zarr array as missing values, and integers as floats.
#
# Versions:  xarray 2026.9.0, zarr 3.1.6, numpy 2.4.6, pandas 3.1.1, Python 3.11
# Behaviour: in zarr's format 2, xarray takes an array's fill value for the mark of a missing one. zarr's own default fill
#            value is 0: what was written as 0 is NaN in xarray, and means leave it out. The same array in format 3 is
#            read as it is. mask_and_scale=False reads both as they are.
# Why it matters: counts, masks and labels (.zarr images, VCF Zarr) were mostly written in format 2: the mean of counts goes up,
#            a background becomes NaN, and an integer model input becomes a float.
# Output seen:
#   format 2: zarr [0, 1, 2, 0] int32, xarray [nan, 1.0, 2.0, nan] float64, mean 1.5
#   format 2, mask_and_scale=False: [0, 1, 2, 0]
#   format 3: zarr [0, 1, 2, 0] int32, xarray [0, 1, 2, 0] int32, mean 0.75
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
uv venv --quiet --python 3.11 venv
uv pip install --quiet --python venv/bin/python xarray==2026.9.0 zarr==3.1.6 numpy==2.4.6 pandas==3.1.1
venv/bin/python - <<'PYTHON' 2>&1 | tee seen
import warnings
import xarray, zarr

warnings.simplefilter("error")
for version in (2, 3):
    store, names = f"format_{version}.zarr", {"dimension_names": ["cell"]} if version == 3 else {}
    group = zarr.open_group(store, mode="w", zarr_format=version)
    array = group.create_array("counts", shape=(4,), chunks=(4,), dtype="i4", **names)
    if version == 2:
        array.attrs["_ARRAY_DIMENSIONS"] = ["cell"]  # as xarray itself writes it in this format
    array[:] = [0, 1, 2, 0]
    read = xarray.open_zarr(store, consolidated=False).counts
    told = f"xarray {read.values.tolist()} {read.dtype}, mean {float(read.mean())}"
    print(f"format {version}: zarr {array[:].tolist()} {array.dtype}, {told}")
    if version == 2:
        whole = xarray.open_zarr(store, consolidated=False, mask_and_scale=False).counts
        print("format 2, mask_and_scale=False:", whole.values.tolist())
PYTHON
diff seen - <<'EXPECTED' && echo "as described above"
format 2: zarr [0, 1, 2, 0] int32, xarray [nan, 1.0, 2.0, nan] float64, mean 1.5
format 2, mask_and_scale=False: [0, 1, 2, 0]
format 3: zarr [0, 1, 2, 0] int32, xarray [0, 1, 2, 0] int32, mean 0.75
EXPECTED
