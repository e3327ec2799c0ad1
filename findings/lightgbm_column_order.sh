#!/usr/bin/env bash
# LightGBM predicts a data frame by the position of its columns, though it knows their names.
#
# Versions:  lightgbm 4.7.0, pandas 2.3.3, numpy 2.4.6, scikit-learn 1.9.1, Python 3.11
# Behaviour: predict() of a Booster and of LGBMRegressor takes a data frame whose columns stand in another order than in
#            training, uses them by position, and gives no warning. XGBoost refuses the same frame.
#            validate_features=True makes LightGBM refuse it.
# Why it matters: a table that was read back or joined has its columns in another order; the answer is wrong and looks like one.
# Output seen:
#   same answers in another column order: False
#   booster the same as the wrapper: True
#   [LightGBM] [Fatal] Expected 'a' at position 0 but found 'c'
#   validated: Expected 'a' at position 0 but found 'c'
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
uv venv --quiet --python 3.11 venv
uv pip install --quiet --python venv/bin/python lightgbm==4.7.0 pandas==2.3.3 numpy==2.4.6 scikit-learn==1.9.1
venv/bin/python - <<'PYTHON' 2>&1 | tee seen
import lightgbm, numpy as np, pandas as pd

rng = np.random.default_rng(0)
table = pd.DataFrame(rng.normal(size=(300, 3)), columns=["a", "b", "c"])
model = lightgbm.LGBMRegressor(n_estimators=20, verbose=-1).fit(table, 3 * table.a - table.b)
right, turned = model.predict(table), model.predict(table[["c", "a", "b"]])
print("same answers in another column order:", np.allclose(right, turned))
print("booster the same as the wrapper:", np.allclose(turned, model.booster_.predict(table[["c", "a", "b"]])))
try:
    model.predict(table[["c", "a", "b"]], validate_features=True)
except lightgbm.basic.LightGBMError as error:
    print("validated:", str(error).splitlines()[0])
PYTHON
diff seen - <<'EXPECTED' && echo "as described above"
same answers in another column order: False
booster the same as the wrapper: True
[LightGBM] [Fatal] Expected 'a' at position 0 but found 'c'
validated: Expected 'a' at position 0 but found 'c'
EXPECTED
