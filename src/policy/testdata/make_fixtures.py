"""Makes the LightGBM models and expected scores beside this file. Needs the lightgbm wheel (4.7.0 was used) and numpy:

    python3 make_fixtures.py

Each line of x.expected.txt: the features | raw score, prediction; doubles as C99 hexadecimal, so equality is exact.
"""
import pathlib

import lightgbm
import numpy

HERE = pathlib.Path(__file__).parent
ROWS, FEATURES = 1500, 5
SPECIAL = [numpy.full(FEATURES, v) for v in (0.0, numpy.nan, numpy.inf, -numpy.inf, 1e-36, -1e-36, 2e-35, -0.0)]
SPECIAL.append(numpy.array([numpy.nan, 0, 1, numpy.nan, 5.0]))
BASE = dict(num_leaves=10, learning_rate=0.1, min_data_in_leaf=20, verbose=-1, seed=3, num_threads=1, deterministic=True)


def text_of(value):
    return "nan" if numpy.isnan(value) else float(value).hex()


def probes_for(model, inputs):
    """Ordinary rows, special values, and rows that hit thresholds exactly or by one unit in the last place."""
    thresholds = {}
    for line in model.splitlines():
        key, _, values = line.partition("=")
        if key == "split_feature":
            features = [int(v) for v in values.split()]
        if key == "threshold":
            for feature, threshold in zip(features, values.split()):
                thresholds.setdefault(feature, []).append(float(threshold))
    random = numpy.random.default_rng(5)
    rows = list(inputs[:12]) + SPECIAL
    for k in range(24):
        row = inputs[100 + k].copy()
        for feature, choices in thresholds.items():
            hit = choices[random.integers(len(choices))]
            row[feature] = (hit, numpy.nextafter(hit, -numpy.inf), numpy.nextafter(hit, numpy.inf))[k % 3]
        rows.append(row)
    return numpy.array(rows)


def make(name, inputs, targets, rounds, **changes):
    parameters = dict(BASE, **changes)
    booster = lightgbm.train(parameters, lightgbm.Dataset(inputs, targets, params=parameters), rounds)
    booster.save_model(str(HERE / f"{name}.txt"))
    probes = probes_for(booster.model_to_string(), inputs)
    raw, predicted = booster.predict(probes, raw_score=True), booster.predict(probes)
    lines = [" ".join(map(text_of, row)) + f" | {text_of(r)} {text_of(p)}\n" for row, r, p in zip(probes, raw, predicted)]
    (HERE / f"{name}.expected.txt").write_text("".join(lines))


random = numpy.random.default_rng(1)
x = random.normal(size=(ROWS, FEATURES))
x[:, 4] = random.integers(1, 12, ROWS)
x[random.random((ROWS, FEATURES)) < 0.3] = 0
score = x[:, 0] + 0.7 * x[:, 1] * x[:, 2] - 0.2 * x[:, 4] + 0.5 * random.normal(size=ROWS)
holes = x.copy()
holes[random.random((ROWS, FEATURES)) < 0.15] = numpy.nan
positive = (score > 0).astype(float)
make("binary", x, positive, 11, objective="binary")
make("huber_nan", holes, 6 + 2 * score, 9, objective="huber", num_leaves=7)
make("binary_zero", holes, positive, 9, objective="binary", zero_as_missing=True, num_leaves=7)
make("constant", x, positive, 3, objective="binary", min_data_in_leaf=2000)
