"""Train the classifier: python train.py, in the model environment, in the package's directory."""

from pathlib import Path

import joblib
from sklearn.datasets import load_wine
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.model_selection import LeaveOneOut, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

DATA = Path("model_data")

# What linear discriminant analysis reached on these data when it was published (Aeberhard et al. 1992), each wine
# predicted by a classifier that was fitted to the 177 others: 98.9 %, 176 of 178.
PUBLISHED_ACCURACY = 176 / 178


def main() -> None:
    """Fit the pipeline, compare its accuracy with the published one, and write it and the measurements.

    Raises
    ------
    ValueError
        If the accuracy is not the published one: nothing is written.
    """
    wines, cultivars = load_wine(return_X_y=True, as_frame=True)
    pipeline = make_pipeline(StandardScaler(), LinearDiscriminantAnalysis())
    accuracy = cross_val_score(pipeline, wines, cultivars, cv=LeaveOneOut()).mean()
    if abs(accuracy - PUBLISHED_ACCURACY) > 1e-9:
        raise ValueError(f"expected the published accuracy, {PUBLISHED_ACCURACY:.4f}, got {accuracy:.4f}")
    print(f"leave-one-out accuracy {accuracy:.1%}, as published")
    DATA.mkdir(exist_ok=True)
    joblib.dump(pipeline.fit(wines, cultivars), DATA / "classifier.joblib")
    wines.assign(cultivar=cultivars + 1).to_csv(DATA / "wines.csv", index=False)


if __name__ == "__main__":
    main()
